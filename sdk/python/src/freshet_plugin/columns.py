"""Rows as columns: NumPy arrays and Arrow arrays, made from the cells without a loop over values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional

import numpy as np

from .checkarrays import CELL, RECORD, _gather
from .schemas import Column as TableColumn
from .schemas import Kind, Stream, Type
from .values import decode_cells

if TYPE_CHECKING:
    from .batch import Batch

_ROWS = {"key": 0, "before": 1, "after": 2}
_CONTENT = (Kind.TEXT, Kind.BYTES, Kind.DECIMAL, Kind.BITS)
_NUMPY = {
    Kind.BOOL: "bool",
    Kind.INT: "i8",
    Kind.UINT: "u8",
    Kind.FLOAT32: "f4",
    Kind.FLOAT64: "f8",
    Kind.DATE: "M8[D]",
    Kind.TIME: "m8[us]",
    Kind.TIMESTAMP: "M8[us]",
    Kind.TIMESTAMPTZ: "M8[us]",
}
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1


def columns(b: "Batch", stream: Optional[Stream], image: str) -> "Columns":
    if image not in _ROWS:
        raise ValueError(f"image {image!r}: after, before or key is expected")
    if stream is None:
        if len(b.streams) != 1:
            raise ValueError(f"the batch has {len(b.streams)} streams; say which one")
        stream = b.streams[0]
    records = np.frombuffer(b._parts[0], RECORD)
    numbers = [i for i, s in enumerate(b.streams) if s is stream]
    rows = records["rows"][:, _ROWS[image]]
    index = np.flatnonzero(np.isin(records["stream"], numbers) & (rows[:, 1] > 0) & (records["value"] == 0))
    return Columns(b, stream, image, records[index], index, rows[index, 0].astype(np.int64))


class Columns(Mapping[str, "ColumnData"]):
    """The rows of one stream in a batch: a mapping from the names of the columns to ColumnData, in the order of the table.

    `index` are the indexes of their records in the batch, `op` what happened to each (numbers of Op).
    """

    def __init__(self, b: "Batch", stream: Stream, image: str, records: Any, index: Any, starts: Any) -> None:
        self.stream = stream
        self.index = index
        self.op = (records["op"] & 0xFF).astype(np.uint8)
        self.timestamp = records["timestamp"]
        self.names: List[str] = list(stream.key_names if image == "key" else stream.names)
        self._batch = b
        self._cells = np.frombuffer(b._parts[1], CELL)
        self._starts = starts
        self._made: Dict[str, ColumnData] = {}
        self._place = {name: i for i, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.index)

    def __getitem__(self, name: str) -> "ColumnData":
        if name not in self._made:
            cells = self._cells[self._starts + self._place[name]]
            column = next((c for c in self.stream.table.columns if c.name == name), None) if self.stream.table is not None else None
            self._made[name] = ColumnData(name, column, cells, self._batch)
        return self._made[name]

    def arrow(self) -> Any:
        """A pyarrow.RecordBatch with the types of the table's columns."""
        from .arrow import record_batch

        return record_batch(self)


class ColumnData:
    """A column: `valid` tells which rows have a value, `kind` what its cells hold (None: no row has a value).

    `present` is False where the row has no such value at all: the source did not send it, or it is not part of the row's image; such a
    row is not valid either.
    """

    def __init__(self, name: str, column: Optional[TableColumn], cells: Any, batch: "Batch") -> None:
        self.name = name
        self.column = column
        self.cells = cells  # head: kind and length << 32; word
        self.batch = batch
        kinds = cells["head"].astype(np.uint8)
        self.valid = kinds > Kind.UNAVAILABLE
        self.present = (kinds == Kind.NULL) | self.valid
        found = kinds[self.valid]
        self.kind: Optional[Kind] = Kind(int(found[0])) if len(found) else None
        if len(found) and (found != found[0]).any():
            raise ValueError(f"column {name} holds several kinds: {sorted(Kind(int(k)).name for k in np.unique(found))}; use rows()")

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def words(self) -> Any:
        """The 64-bit words, 0 where there is no value."""
        w = self.cells["word"]
        return w if self.valid.all() else np.where(self.valid, w, np.uint64(0))

    @property
    def values(self) -> Any:
        """A NumPy array; where `valid` is False it holds 0 (None in an array of objects).

        Booleans, integers, floats, datetime64 (timestamps with time zone: in UTC), timedelta64 of times; texts, bytes, decimals, lists
        and others are objects. Raises ValueError for a date or time that is infinite.
        """
        kind = self.kind if self.kind is not None else self._declared()
        if kind in _NUMPY:
            return self._plain(kind)
        out = np.empty(len(self), object)
        out[:] = self._objects()
        return out

    def _declared(self) -> Optional[Kind]:
        return self.column.type.kind if self.column is not None else None

    def _plain(self, kind: Kind) -> Any:
        w = self.words
        if kind == Kind.BOOL:
            return w != 0
        if kind in (Kind.FLOAT32, Kind.FLOAT64):
            return w.view("f8").astype(_NUMPY[kind], copy=False)
        if kind == Kind.UINT:
            return w
        signed = w.view("i8")
        if kind in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ) and ((signed == _FIRST) | (signed == _LAST)).any():
            raise ValueError(f"column {self.name} holds infinity, which {_NUMPY[kind]} cannot; use rows()")
        return signed.view(_NUMPY[kind]) if kind != Kind.INT else signed

    def _objects(self) -> List[Any]:
        nested = np.frombuffer(self.batch._parts[2], CELL)
        inner = (nested["head"].tolist(), nested["word"].tolist()) if self.kind in (Kind.LIST, Kind.MAP, Kind.POINT) else ([], [])
        heads = np.where(self.valid, self.cells["head"], np.uint64(Kind.NULL))
        return decode_cells(heads.tolist(), self.cells["word"].tolist(), inner, bytes(self.batch._parts[3]))

    def content(self) -> "tuple[Any, Any]":
        """Of texts, bytes, decimals and bits: their bytes one behind the other, and n + 1 offsets into them (int64)."""
        if self.kind is not None and self.kind not in _CONTENT:
            raise ValueError(f"column {self.name} holds {self.kind.name}, which has no bytes")
        d = np.frombuffer(self.batch._parts[3], np.uint8)
        lengths = np.where(self.valid, self.cells["head"] >> 32, np.uint64(0)).astype(np.int64)
        offsets = np.zeros(len(self) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        text, _ = _gather(self.words, lengths, d)
        return text, offsets

    def tolist(self) -> List[Any]:
        """The values as rows() gives them, None for NULL and for what is not there."""
        return self._objects()


__all__ = ["ColumnData", "Columns", "Type", "columns"]
