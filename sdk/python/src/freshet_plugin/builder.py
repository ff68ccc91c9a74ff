"""Batches as a source makes them."""

from __future__ import annotations

import time
from array import array
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from .cells import Arena, encode
from .check import LITTLE
from .offsets import canonical, offset_text
from .schemas import ABSENT, Column, Op, Order, Partition, Schema, Stream, Table, Topic, Type
from .streams import SOURCE_CELLS, stream_of
from .values import typed
from .wire import RECORD, U32, Definitions, Encoder, header

Row = Union[Mapping[str, Any], Sequence[Any]]


class Changes:
    """A batch of one source partition, in order, with the offset after its last record.

        Changes({"file": "a"}, offset={"line": 3}).insert(TABLE, [{"id": 1, "name": "x"}, (2, "y")])

    `offset` is stored when all sinks have the records; None leaves the stored one as it is. `order` is the position of the first record
    in the source's log, which each further record raises by one: it must grow with the log and be the same after a restart. With it,
    Freshet tells for each of several sinks what it has already; without, a sink may get records again after a restart.
    """

    def __init__(
        self,
        partition: Partition,
        offset: Union[None, str, Dict[str, Any]] = None,
        order: Union[None, int, Order] = None,
        committed: int = 0,
    ) -> None:
        self.partition = canonical(partition)
        self.offset = offset
        self.committed = committed  # when the oldest change was committed, µs since 1970; 0: not known
        self.extra: List[Tuple[str, str]] = []
        self.through: Optional[Order] = None  # the order of the last record, or one above it behind records that are left out
        self._next: Optional[Order] = Order(1, order, 1) if isinstance(order, int) else order
        self._records = bytearray()
        self._cells = array("Q")
        self._arena = Arena()
        self._streams: List[Stream] = []
        self._bodies: List[Tuple[Optional[Schema], Any, Optional[Schema], Any]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """Bytes of its records, cells and data."""
        return len(self._records) + 8 * (len(self._cells) + len(self._arena.nested)) + len(self._arena.data)

    def insert(self, table: Table, rows: Iterable[Row], timestamp: Optional[int] = None) -> "Changes":
        """Rows that are new. A row is a mapping by column names (a column that is left out is absent), or a sequence of all columns."""
        return self._rows(Op.CREATE, table, rows, None, timestamp)

    def snapshot(self, table: Table, rows: Iterable[Row], timestamp: Optional[int] = None) -> "Changes":
        """Rows that were there when the source began."""
        return self._rows(Op.READ, table, rows, None, timestamp)

    def update(self, table: Table, rows: Iterable[Row], before: Optional[Iterable[Row]] = None, timestamp: Optional[int] = None) -> "Changes":
        """Rows as they are now, and as they were where that is known."""
        return self._rows(Op.UPDATE, table, rows, before, timestamp)

    def delete(self, table: Table, rows: Iterable[Row], timestamp: Optional[int] = None) -> "Changes":
        """Rows that are gone; of each, the columns of the key must be known."""
        if not table.key:
            raise ValueError(f"table {table.id} has no key: a delete cannot say which row it means")
        return self._rows(Op.DELETE, table, rows, None, timestamp)

    def truncate(self, table: Table) -> "Changes":
        """All rows are gone."""
        self._add(self._stream(table), Op.TRUNCATE, time.time_ns())
        return self

    def message(
        self, topic: Topic, value: Any, key: Any = None, headers: Optional[Mapping[str, Any]] = None, timestamp: Optional[int] = None, kafka_partition: int = -1
    ) -> "Changes":
        """One record whose key and value are given as they are; the schemas are the topic's."""
        stream = self._stream(topic)
        k = typed(key, topic.key, "key") if topic.key is not None or key is not None else None
        v = typed(value, topic.value) if value is not None else None
        body = (topic.key if key is not None else None, k, topic.value if value is not None else None, v)
        e = Encoder()
        e.value(k)  # raises for what is no value, while nothing has been added
        e.value(v)
        at = self._headers(headers) if headers else (0, 0)
        self._bodies.append(body)
        stamp = time.time_ns() if timestamp is None else timestamp
        self._add(stream, Op.NONE, stamp, value=len(self._bodies), headers=at, partition=kafka_partition)
        return self

    def _headers(self, headers: Mapping[str, Any]) -> Tuple[int, int]:
        at = len(self._cells) // 2
        for name, value in headers.items():
            for v, t in ((name, Type.TEXT), (value, Type.BYTES if isinstance(value, (bytes, bytearray)) else Type.TEXT)):
                heads, words = encode(Column("header", t), [v], self._arena)
                self._cells.extend((heads[0], words[0]))
        return at, 2 * len(headers)

    def _stream(self, x: Union[Table, Topic]) -> int:
        s = stream_of(x)
        for i in range(len(self._streams) - 1, -1, -1):
            if self._streams[i] is s:
                return i
        self._streams.append(s)
        return len(self._streams) - 1

    def _rows(self, op: Op, table: Table, rows: Iterable[Row], before: Optional[Iterable[Row]], timestamp: Optional[int]) -> "Changes":
        listed = [_sequence(table, r) for r in rows]
        old = [_sequence(table, r) for r in before] if before is not None else None
        if old is not None and len(old) != len(listed):
            raise ValueError(f"table {table.id}: {len(listed)} rows and {len(old)} old rows")
        if not listed:
            return self
        stamp = time.time_ns() if timestamp is None else timestamp
        mark = (len(self._cells), len(self._arena.data), len(self._arena.nested), len(self._streams))
        try:
            self._append(self._stream(table), op, table, listed, old, stamp)
        except (TypeError, ValueError) as e:
            del self._cells[mark[0] :], self._arena.data[mark[1] :], self._arena.nested[mark[2] :], self._streams[mark[3] :]
            raise type(e)(f"table {table.id}: {e}") from None
        return self

    def _append(self, stream: int, op: Op, table: Table, rows: List[Sequence[Any]], old: Optional[List[Sequence[Any]]], stamp: int) -> None:
        n, width = len(rows), len(table.columns)
        columns = [encode(c, values, self._arena) for c, values in zip(table.columns, zip(*rows))]
        key = 0
        if table.key:
            for k in table.key_places:
                if any(h & 0xFF <= 2 for h in columns[k][0]):
                    raise ValueError(f"the key column {table.names[k]} has no value in one of the rows")
            key = self._block([columns[k] for k in table.key_places], n)
        row = self._block(columns, n)
        before = self._block([encode(c, values, self._arena) for c, values in zip(table.columns, zip(*old))], n) if old is not None else 0
        source = 0
        if table.envelope:
            marker = "true" if op == Op.READ else None
            parts = [(Type.INT64, stamp // 1000), (Type.TEXT, marker), (Type.TEXT, None)]
            source = self._block([encode(Column("source", t), [v] * n, self._arena) for t, v in parts], n)
        add, keys = self._add, len(table.key)
        for i in range(n):
            after = (row + i * width, width) if op != Op.DELETE else (0, 0)
            was = (row + i * width, width) if op == Op.DELETE else (before + i * width, width) if old is not None else (0, 0)
            add(stream, op, stamp, (key + i * keys, keys), was, after, (source + i * SOURCE_CELLS, SOURCE_CELLS) if table.envelope else (0, 0))

    def _block(self, columns: List[Tuple["array[int]", "array[int]"]], n: int) -> int:
        """Appends n rows of these columns and tells where they begin."""
        at, step = len(self._cells) // 2, 2 * len(columns)
        cells = array("Q", bytes(8 * n * step))
        for j, (heads, words) in enumerate(columns):
            cells[2 * j :: step] = heads
            cells[2 * j + 1 :: step] = words
        self._cells.extend(cells)
        return at

    def _add(
        self,
        stream: int,
        op: int,
        stamp: int,
        key: Tuple[int, int] = (0, 0),
        before: Tuple[int, int] = (0, 0),
        after: Tuple[int, int] = (0, 0),
        source: Tuple[int, int] = (0, 0),
        headers: Tuple[int, int] = (0, 0),
        value: int = 0,
        partition: int = -1,
    ) -> None:
        epoch = major = minor = 0
        if self._next is not None:
            epoch, major, minor = self.through = self._next
            self._next = Order(epoch, major + 1, minor)
        self._records += RECORD.pack(
            stream, value, op | 0x100, partition, *key, *before, *after, *source, *headers, stamp, epoch, minor, major
        )
        self._count += 1

    def encode(self, known: Definitions, id: int = 0) -> bytes:
        """The batch in bytes, for the one reader that has got what is known."""
        try:
            return self._encode(known, id)
        except BaseException:
            known.forget()  # what this batch has defined does not reach the reader
            raise

    def _encode(self, known: Definitions, id: int) -> bytes:
        known.define(self._streams, [s for b in self._bodies for s in (b[0], b[2])])
        e = Encoder()
        e.text(self.partition)
        e.text(offset_text(self.offset))
        e.uint(id)
        e.order(self.through or Order())
        e.sint(self.committed)
        e.uint(len(self.extra))
        for p, o in self.extra:
            e.text(canonical(p))
            e.text(offset_text(o))
        known.write(e)
        e.uint(len(self._streams))
        for s in self._streams:
            e.uint(known.streams[s])
        e.uint(len(self._bodies))
        for key_schema, key, value_schema, value in self._bodies:
            e.uint(known.schema(key_schema))
            e.value(key)
            e.uint(known.schema(value_schema))
            e.value(value)
        e.uint(0)  # raw records
        e.out += bytes(-len(e.out) % 8)
        cells, nested = self._cells, self._arena.nested
        if max(len(cells), len(nested)) // 2 > U32:
            raise OverflowError("the batch is too large for one message; make smaller ones")
        if not LITTLE:
            cells, nested = cells[:], nested[:]
            cells.byteswap()
            nested.byteswap()
        top = header(known.anew, len(e.out), self._count, len(cells) // 2, len(nested) // 2, len(self._arena.data))
        known.anew = False
        return b"".join((top, e.out, self._records, cells.tobytes(), nested.tobytes(), self._arena.data))


def _sequence(table: Table, row: Row) -> Sequence[Any]:
    if isinstance(row, Mapping):
        if len(row) == len(table.names):
            try:
                return [row[name] for name in table.names]
            except KeyError:
                pass
        unknown = row.keys() - set(table.names)
        if unknown:
            raise ValueError(f"table {table.id} has no column {sorted(unknown)[0]!r}")
        return [row.get(name, ABSENT) for name in table.names]
    if len(row) != len(table.names):
        raise ValueError(f"table {table.id}: a row of {len(row)} values, it has {len(table.names)} columns")
    return row
