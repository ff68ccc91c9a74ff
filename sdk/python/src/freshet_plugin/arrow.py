"""Columns as Arrow arrays (needs pyarrow)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .checkarrays import CELL, _gather
from .columns import ColumnData
from .schemas import Column as TableColumn
from .schemas import Kind, Type

if TYPE_CHECKING:
    from .columns import Columns

_OF_TYPE = {
    Type.BOOL: pa.bool_(),
    Type.INT16: pa.int16(),
    Type.INT32: pa.int32(),
    Type.INT64: pa.int64(),
    Type.UINT64: pa.uint64(),
    Type.FLOAT32: pa.float32(),
    Type.FLOAT64: pa.float64(),
    Type.BYTES: pa.binary(),
    Type.DATE: pa.date32(),
    Type.TIME: pa.time64("us"),
    Type.TIMESTAMP: pa.timestamp("us"),
    Type.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
    Type.INTERVAL: pa.month_day_nano_interval(),
    Type.POINT: pa.struct([("x", pa.float64()), ("y", pa.float64())]),
    Type.TIMETZ: pa.struct([("micros", pa.int64()), ("zone", pa.int32())]),
    Type.MAP: pa.map_(pa.string(), pa.string()),
}
_OF_KIND = {
    Kind.BOOL: Type.BOOL,
    Kind.INT: Type.INT64,
    Kind.UINT: Type.UINT64,
    Kind.FLOAT32: Type.FLOAT32,
    Kind.FLOAT64: Type.FLOAT64,
    Kind.DECIMAL: Type.DECIMAL,
    Kind.BYTES: Type.BYTES,
    Kind.DATE: Type.DATE,
    Kind.TIME: Type.TIME,
    Kind.TIMETZ: Type.TIMETZ,
    Kind.TIMESTAMP: Type.TIMESTAMP,
    Kind.TIMESTAMPTZ: Type.TIMESTAMPTZ,
    Kind.INTERVAL: Type.INTERVAL,
    Kind.MAP: Type.MAP,
    Kind.POINT: Type.POINT,
    Kind.LIST: Type.LIST,
}


def arrow_type(c: Optional[TableColumn], kind: Optional[Kind] = None) -> Any:
    """The Arrow type of a table's column; without one that of its cells. Decimals without a scale and what has no Arrow type are
    strings."""
    t = c.type if c is not None else Type.OTHER
    if kind is not None and t.kind != kind:
        t = _OF_KIND.get(kind, Type.TEXT)
    if t in (Type.DECIMAL, Type.MONEY) and c is not None and 0 <= c.scale <= 38 and 0 < c.length <= 76 and c.scale <= c.length:
        return pa.decimal128(c.length, c.scale) if c.length <= 38 else pa.decimal256(c.length, c.scale)
    if t == Type.LIST:
        return pa.list_(arrow_type(c.elem if c is not None else None))
    return _OF_TYPE.get(t, pa.string())


def record_batch(columns: "Columns") -> Any:
    arrays, fields = [], []
    for name in columns.names:
        data = columns[name]
        a = array(data)
        arrays.append(a)
        fields.append(pa.field(name, a.type, nullable=data.column is None or data.column.optional or not bool(data.valid.all())))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def array(data: ColumnData) -> Any:
    """The column as an Arrow array. Raises ValueError for a value that its type cannot hold."""
    t = arrow_type(data.column, data.kind)
    try:
        return _array(data, t)
    except (pa.ArrowInvalid, OverflowError) as e:
        raise ValueError(f"column {data.name} does not fit {t}: {e}; use rows()") from None


def _bitmap(data: ColumnData) -> Any:
    return None if data.valid.all() else pa.py_buffer(np.packbits(data.valid, bitorder="little"))


def _fixed(data: ColumnData, t: Any, values: Any) -> Any:
    return pa.Array.from_buffers(t, len(data), [_bitmap(data), pa.py_buffer(np.ascontiguousarray(values))])


def _array(data: ColumnData, t: Any) -> Any:
    if data.kind is None:
        return pa.nulls(len(data), t)
    if pa.types.is_string(t) or pa.types.is_binary(t) or pa.types.is_decimal(t):
        return _bytes(data, t)
    if pa.types.is_boolean(t):
        return pa.Array.from_buffers(t, len(data), [_bitmap(data), pa.py_buffer(np.packbits(data.words != 0, bitorder="little"))])
    if pa.types.is_list(t) or pa.types.is_map(t) or pa.types.is_struct(t):
        return _nested(data, t)
    if t == pa.month_day_nano_interval():
        return _intervals(data, t)
    values = data.values
    if pa.types.is_date32(t):
        return pc.cast(_fixed(data, pa.int64(), values.view("i8")), pa.int32()).view(t)
    if pa.types.is_time64(t):
        micros = values.view("i8")
        if ((micros < 0) | (micros >= 86_400_000_000)).any():
            raise OverflowError("a time outside of the day")
        return _fixed(data, t, micros)
    if pa.types.is_integer(t) and t.bit_width < 64:
        return pc.cast(_fixed(data, pa.int64(), values), t)
    return _fixed(data, t, values)


def _bytes(data: ColumnData, t: Any) -> Any:
    text, offsets = data.content()
    large = offsets[-1] > (1 << 31) - 1
    kind = pa.binary() if pa.types.is_binary(t) else pa.string()
    if large:
        kind = pa.large_binary() if pa.types.is_binary(t) else pa.large_string()
    buffers = [_bitmap(data), pa.py_buffer(offsets if large else offsets.astype(np.int32)), pa.py_buffer(text)]
    out = pa.Array.from_buffers(kind, len(data), buffers)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        out.validate(full=True)
    return pc.cast(out, t) if pa.types.is_decimal(t) else out


def _inner(data: ColumnData, step: int = 1, at: int = 0) -> "tuple[Any, Any]":
    """The elements of lists one behind the other, every step-th from at, and n + 1 offsets into them."""
    nested = np.frombuffer(data.batch._parts[2], CELL)
    lengths = np.where(data.valid, data.cells["head"] >> 32, np.uint64(0)).astype(np.int64) // step
    offsets = np.zeros(len(data) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    place, _ = _gather(np.zeros(len(data), np.int64), lengths, np.arange(int(lengths.max()) if len(lengths) else 0))
    start = np.repeat(data.words.astype(np.int64), lengths)
    return nested[start + place * step + at], offsets


def _nested(data: ColumnData, t: Any) -> Any:
    n = len(data)
    if pa.types.is_list(t):
        cells, offsets = _inner(data)
        inner = ColumnData(data.name, data.column.elem if data.column is not None else None, cells, data.batch)
        return _lists(data, _array(inner, arrow_type(inner.column, inner.kind)), offsets)
    if pa.types.is_map(t):
        keys, offsets = _inner(data, 2)
        items, _ = _inner(data, 2, 1)
        entries = [_array(ColumnData(data.name, None, c, data.batch), pa.string()) for c in (keys, items)]
        struct = pa.StructArray.from_arrays(entries, fields=[t.key_field, t.item_field])
        return pa.Array.from_buffers(t, n, [_bitmap(data), pa.py_buffer(offsets.astype(np.int32))], children=[struct])
    mask = pa.array(~data.valid)
    if data.kind == Kind.POINT:
        nested = np.frombuffer(data.batch._parts[2], CELL)["word"].view("f8")
        at = data.words.astype(np.int64)
        parts = [pa.array(nested[at]), pa.array(nested[at + 1])]
    else:
        zone = (data.cells["head"] >> 32).astype(np.uint32).view(np.int32)
        parts = [pa.array(data.words.view("i8")), pa.array(zone)]
    return pa.StructArray.from_arrays(parts, fields=list(t), mask=mask)


def _lists(data: ColumnData, inner: Any, offsets: Any) -> Any:
    t = pa.list_(inner.type)
    return pa.Array.from_buffers(t, len(data), [_bitmap(data), pa.py_buffer(offsets.astype(np.int32))], children=[inner])


def _intervals(data: ColumnData, t: Any) -> Any:
    part = np.dtype([("months", "<i4"), ("days", "<i4"), ("micros", "<i8")])
    d = np.frombuffer(data.batch._parts[3], np.uint8)
    lengths = np.where(data.valid, 16, 0)
    text, _ = _gather(data.words, lengths, d)
    out = np.zeros(len(data), part)
    out[data.valid] = np.frombuffer(text.tobytes(), part)
    if (np.abs(out["micros"]) > ((1 << 63) - 1) // 1000).any():
        raise OverflowError("an interval too long for nanoseconds")
    out["micros"] *= 1000
    return _fixed(data, t, out)
