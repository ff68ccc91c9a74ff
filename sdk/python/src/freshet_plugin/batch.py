"""Batches as a sink gets them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from . import check
from .check import Cells, Needs
from .errors import WireError
from .offsets import canonical, check_offset
from .schemas import ABSENT, Op, Order, Stream
from .values import decode_cells, plain
from .wire import Decoder, Known, MapValue, split

if TYPE_CHECKING:
    from .columns import Columns

Body = Tuple[Any, Any, Any, Any]  # schema and value of the key, schema and value of the value
RawRecord = Tuple[str, int, int, int, Optional[bytes], Optional[bytes], List[Tuple[bytes, Optional[bytes]]]]


class Reader:
    """Turns what one writer wrote back into batches. After an error it only repeats that error: it may have missed a definition.

    Every offset, length, kind and number is checked: what `decode` returns can be read without another check.
    """

    def __init__(self) -> None:
        self._known = Known()
        self._needs: Dict[Stream, Needs] = {}
        self._broken: Optional[str] = None

    def decode(self, message: bytes) -> "Batch":
        """Reads a batch. Raises WireError."""
        if self._broken is not None:
            raise WireError(self._broken)
        try:
            return self._decode(message)
        except WireError as e:
            self._broken = str(e)
            raise
        except RecursionError:
            self._broken = "decode batch: nested too deep"
            raise WireError(self._broken) from None

    def _decode(self, message: bytes) -> "Batch":
        anew, head, records, cells, nested, data = split(memoryview(message))
        if anew:
            self._known.forget()
            self._needs.clear()
        d = Decoder(head)
        b = Batch()
        b.partition_text, b.offset_text = d.text(), d.text()
        b.id = d.uint()
        b.through = d.order()
        b.committed = d.sint()
        b.extra = [(d.text(), d.text()) for _ in range(d.count(2))]
        _check_offsets(b)
        self._known.read(d)
        for _ in range(d.count(1)):
            n = d.uint()
            if n >= len(self._known.streams):
                raise d.fail(f"stream {n} of {len(self._known.streams)}")
            b.streams.append(self._known.streams[n])
        b._bodies = [(self._known.ref(d), d.value(), self._known.ref(d), d.value()) for _ in range(d.count(4))]
        b.raws = _raws(d, len(records) // 80)
        if d.rest() > 7 or d.take(d.rest()).strip(b"\0"):
            raise d.fail("the bytes at the end of the head are no padding")
        needs = [self._needs_of(s) for s in b.streams]
        b._fill(needs, records, cells, nested, data)
        return b

    def _needs_of(self, s: Stream) -> Needs:
        if s not in self._needs:
            self._needs[s] = Needs(s)
        return self._needs[s]


def _check_offsets(b: "Batch") -> None:
    for p, o in [(b.partition_text, b.offset_text), *b.extra]:
        try:
            if canonical(p) != p:
                raise ValueError
        except ValueError:
            raise WireError(f"decode batch: partition {p[:100]!r} is no flat JSON object in canonical form") from None
        try:
            if o:
                check_offset(o)
        except ValueError as e:
            raise WireError(f"decode batch: {e}") from None


def _raws(d: Decoder, records: int) -> List[Optional[RawRecord]]:
    n = d.count(1)
    if n > records:
        raise d.fail(f"{n} raw records for {records} records")
    out: List[Optional[RawRecord]] = []
    for i in range(n):
        topic = d.text()
        if not topic:
            if i == n - 1:
                raise d.fail("the last raw record is not known")
            out.append(None)
            continue
        fixed = (topic, d.sint(32), d.sint(), d.sint(), d.nullable(), d.nullable())
        out.append((*fixed, [(d.blob(), d.nullable()) for _ in range(d.count(2))]))
    return out


class Record:
    """One record of a batch.

    `op` tells what happened; `before` and `after` are the row by column names, None where there is none; `key` likewise. Columns that
    are not part of the row's image are left out, a value that the source did not send is UNAVAILABLE. A record that is no row
    (`stream.table` is None and it has a body) has `value`, which for a row is the same as `after`.
    """

    __slots__ = ("batch", "index", "op", "stream", "_r")

    def __init__(self, batch: "Batch", index: int, op: Op, stream: Stream, r: Tuple[Any, ...]) -> None:
        self.batch = batch
        self.index = index
        self.op = op
        self.stream = stream
        self._r = r

    @property
    def key_values(self) -> Optional[Tuple[Any, ...]]:
        """The key as a tuple, in the order of stream.key_names."""
        return self.batch._row(self._r[4], self._r[5])

    @property
    def before_values(self) -> Optional[Tuple[Any, ...]]:
        """The old row as a tuple, in the order of stream.names."""
        return self.batch._row(self._r[6], self._r[7])

    @property
    def after_values(self) -> Optional[Tuple[Any, ...]]:
        """The new row as a tuple, in the order of stream.names."""
        return self.batch._row(self._r[8], self._r[9])

    @property
    def key(self) -> Any:
        body = self._body()
        if body is not None:
            return plain(body[1], body[0])
        return _named(self.stream.key_names, self.key_values)

    @property
    def before(self) -> Optional[Dict[str, Any]]:
        return _named(self.stream.names, self.before_values)

    @property
    def after(self) -> Optional[Dict[str, Any]]:
        body = self._body()
        if body is not None:
            value = plain(body[3], body[2])
            return value if isinstance(value, dict) else None
        return _named(self.stream.names, self.after_values)

    @property
    def value(self) -> Any:
        """The value of a record with a body; for a row `after`."""
        body = self._body()
        return plain(body[3], body[2]) if body is not None else self.after

    @property
    def key_schema(self) -> Any:
        body = self._body()
        return body[0] if body is not None else self.stream.key

    @property
    def value_schema(self) -> Any:
        body = self._body()
        return body[2] if body is not None else self.stream.row

    @property
    def topic(self) -> str:
        return self.stream.topic

    @property
    def headers(self) -> List[Tuple[str, Any]]:
        """The record's own headers and those of its stream."""
        own = self.batch._row(self._r[12], self._r[13]) or ()
        return [*zip(own[0::2], own[1::2]), *self.stream.headers]

    @property
    def last(self) -> bool:
        """Whether it is the last record of its transaction."""
        return bool(self._r[2] >> 8)

    @property
    def timestamp(self) -> int:
        """When the change was read, in ns since 1970."""
        return int(self._r[14])

    @property
    def order(self) -> Order:
        return Order(self._r[15], self._r[17], self._r[16])

    @property
    def kafka_partition(self) -> int:
        return int(self._r[3])

    @property
    def raw(self) -> Optional[RawRecord]:
        """The record as it lies in a Kafka topic: topic, partition, offset, timestamp in ms, key, value, headers; None: not known."""
        return self.batch.raws[self.index] if self.index < len(self.batch.raws) else None

    def _body(self) -> Optional[Body]:
        n = self._r[1]
        return self.batch._bodies[n - 1] if n else None

    def __repr__(self) -> str:
        return f"<record {self.index} of batch {self.batch.id}: {self.op.name} {self.stream.name}>"


def _named(names: Sequence[str], values: Optional[Tuple[Any, ...]]) -> Optional[Dict[str, Any]]:
    if values is None:
        return None
    if ABSENT in values:
        return {k: v for k, v in zip(names, values) if v is not ABSENT}
    return dict(zip(names, values))


_OPS = tuple(Op)


class Batch:
    """Records of one source partition, in order, and the offset after the last one. A batch without records is a position."""

    def __init__(self) -> None:
        self.id = 0
        self.partition_text = ""  # canonical JSON
        self.offset_text = ""  # JSON; "" leaves the stored one as it is
        self.through = Order()
        self.committed = 0  # when the oldest of its transactions was committed, µs since 1970; 0: not known
        self.extra: List[Tuple[str, str]] = []
        self.streams: List[Stream] = []
        self.raws: List[Optional[RawRecord]] = []
        self.size = 0  # bytes of the message
        self._bodies: List[Body] = []
        self._parts: Tuple[memoryview, memoryview, memoryview, memoryview] = (memoryview(b""),) * 4
        self._cells: Optional[Cells] = None
        self._records: Optional[List[Tuple[Any, ...]]] = None
        self._values: Optional[List[Any]] = None
        self._needs: List[Needs] = []
        self._ack: Callable[["Batch"], None] = _nobody
        self._reject: Callable[["Batch", int, BaseException], None] = _nobody_rejects
        self.acked = False

    def _fill(self, needs: List[Needs], records: memoryview, cells: memoryview, nested: memoryview, data: memoryview) -> None:
        self._needs, self._parts = needs, (records, cells, nested, data)
        self.size = len(records) + len(cells) + len(nested) + len(data)
        if sys.modules.get("numpy") is not None and check.LITTLE:  # who has loaded it gets columns: check them as columns
            from .checkarrays import check_batch

            check_batch(needs, len(self._bodies), records, cells, nested, data)
        else:
            self._read_cells()
            self._read_records()

    def _read_cells(self) -> Cells:
        if self._cells is None:
            self._cells = Cells(self._parts[1], self._parts[2], bytes(self._parts[3]))
        return self._cells

    def _read_records(self) -> List[Tuple[Any, ...]]:
        if self._records is None:
            self._records = check.records(self._parts[0], self._needs, len(self._bodies), self._read_cells())
        return self._records

    def _row(self, start: int, count: int) -> Optional[Tuple[Any, ...]]:
        if count == 0:
            return None
        if self._values is None:
            c = self._read_cells()
            self._values = decode_cells(c.heads, c.words, c.nested, c.data)
        return tuple(self._values[start : start + count])

    def __len__(self) -> int:
        return len(self._parts[0]) // 80

    def rows(self) -> Iterator[Record]:
        """The records, in order."""
        streams = self.streams
        for i, r in enumerate(self._read_records()):
            yield Record(self, i, _OPS[r[2] & 0xFF], streams[r[0]], r)

    def __iter__(self) -> Iterator[Record]:
        return self.rows()

    def __getitem__(self, index: int) -> Record:
        r = self._read_records()[index]
        return Record(self, index % len(self), _OPS[r[2] & 0xFF], self.streams[r[0]], r)

    @property
    def partition(self) -> Dict[str, Any]:
        """The source partition."""
        members: Dict[str, Any] = json.loads(self.partition_text)
        return members

    @property
    def offset(self) -> Optional[Dict[str, Any]]:
        """Where to resume when every record is durable; None leaves the stored one as it is."""
        return json.loads(self.offset_text) if self.offset_text else None

    def columns(self, stream: Optional[Stream] = None, image: str = "after") -> "Columns":
        """The rows of a stream as columns (needs NumPy): those of its records that have this image: "after", "before" or "key".

        Without a stream, the only one of the batch. Raises ValueError when it has several, and for a stream without rows.
        """
        from .columns import columns

        return columns(self, stream, image)

    def arrow(self, stream: Optional[Stream] = None, image: str = "after") -> Any:
        """`columns` as a pyarrow.RecordBatch."""
        return self.columns(stream, image).arrow()

    def ack(self) -> None:
        """Says that the batch is durable. Once for each batch, in any order; safe from any thread."""
        if not self.acked:
            self.acked = True
            self._ack(self)

    def reject(self, record: "Record | int", cause: BaseException) -> None:
        """Hands out a record that cannot be written. Returns when it is tolerated: go on without it; else raises what to fail with."""
        self._reject(self, record if isinstance(record, int) else record.index, cause)

    def __repr__(self) -> str:
        return f"<batch {self.id} of {self.partition_text}: {len(self)} records>"


def _nobody(b: Batch) -> None:
    raise RuntimeError("the batch is no sink's")


def _nobody_rejects(b: Batch, record: int, cause: BaseException) -> None:
    raise cause


__all__ = ["Batch", "MapValue", "Reader", "Record"]
