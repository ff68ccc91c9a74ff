"""Cells and Connect values as Python values."""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal
from typing import Any, Callable, Dict, List, Optional, Tuple

from .schemas import ABSENT, UNAVAILABLE, Interval, Kind, Moment, Schema, SchemaKind
from .wire import Float32, Int8, Int16, Int32, MapValue, StructValue

_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_FIRST_DAY, _LAST_DAY = -719162, 2932896  # what datetime can hold
_FIRST_MICRO, _LAST_MICRO = _FIRST_DAY * 86_400_000_000, (_LAST_DAY + 1) * 86_400_000_000 - 1
_DAY = 86_400_000_000
_F64, _Q, _INTERVAL = struct.Struct("<d"), struct.Struct("<Q"), struct.Struct("<iiq")
_SIGN = 1 << 63
_WRAP = 1 << 64


def decode_cells(heads: List[int], words: List[int], nested: Tuple[List[int], List[int]], data: bytes) -> List[Any]:
    """The value of each cell."""
    inner: List[Any] = []
    if nested[0]:
        _decode(nested[0], nested[1], inner, data, inner)
    return _decode(heads, words, [], data, inner)


def _decode(heads: List[int], words: List[int], out: List[Any], data: bytes, inner: List[Any]) -> List[Any]:
    add = out.append
    for h, w in zip(heads, words):
        kind = h & 0xFF
        if kind == 9:  # TEXT
            add(data[w : w + (h >> 32)].decode("utf-8", "surrogateescape"))
        elif kind == 4:  # INT
            add(w if w < _SIGN else w - _WRAP)
        elif kind == 1:  # NULL
            add(None)
        else:
            add(_DECODERS[kind](h >> 32, w, data, inner))
    return out


def _signed(w: int) -> int:
    return w if w < _SIGN else w - _WRAP


def _date(n: int, w: int, data: bytes, inner: List[Any]) -> Any:
    v = _signed(w)
    return dt.date.fromordinal(v + 719163) if _FIRST_DAY <= v <= _LAST_DAY else Moment(Kind.DATE, v)


def _clock(v: int, zone: Optional[dt.tzinfo] = None) -> dt.time:
    seconds, micros = divmod(v, 1_000_000)
    return dt.time(seconds // 3600, seconds // 60 % 60, seconds % 60, micros, zone)


def _time(n: int, w: int, data: bytes, inner: List[Any]) -> Any:
    v = _signed(w)
    return _clock(v) if 0 <= v < _DAY else Moment(Kind.TIME, v)


def _timetz(n: int, w: int, data: bytes, inner: List[Any]) -> Any:
    v, zone = _signed(w), n - (1 << 32) if n >> 31 else n
    if 0 <= v < _DAY:
        return _clock(v, dt.timezone(dt.timedelta(seconds=zone)))
    return TimeTZ(v, zone)


class TimeTZ(Tuple[int, int]):
    """A time of day that Python's time cannot hold, such as 24:00: µs since midnight, and seconds east of UTC."""

    def __new__(cls, micros: int, zone: int) -> "TimeTZ":
        return super().__new__(cls, (micros, zone))


def _timestamp(n: int, w: int, data: bytes, inner: List[Any]) -> Any:
    v = _signed(w)
    return _EPOCH + dt.timedelta(0, 0, v) if _FIRST_MICRO <= v <= _LAST_MICRO else Moment(Kind.TIMESTAMP, v)


def _timestamptz(n: int, w: int, data: bytes, inner: List[Any]) -> Any:
    v = _signed(w)
    return _EPOCH_UTC + dt.timedelta(0, 0, v) if _FIRST_MICRO <= v <= _LAST_MICRO else Moment(Kind.TIMESTAMPTZ, v)


def _map(n: int, w: int, data: bytes, inner: List[Any]) -> Dict[str, Any]:
    items = inner[w : w + n]
    return dict(zip(items[0::2], items[1::2]))


_DECODERS: Tuple[Callable[[int, int, bytes, List[Any]], Any], ...] = (
    lambda n, w, data, inner: ABSENT,
    lambda n, w, data, inner: None,
    lambda n, w, data, inner: UNAVAILABLE,
    lambda n, w, data, inner: w != 0,
    lambda n, w, data, inner: _signed(w),
    lambda n, w, data, inner: w,
    lambda n, w, data, inner: _F64.unpack(_Q.pack(w))[0],
    lambda n, w, data, inner: _F64.unpack(_Q.pack(w))[0],
    lambda n, w, data, inner: Decimal(data[w : w + n].decode()),
    lambda n, w, data, inner: data[w : w + n].decode("utf-8", "surrogateescape"),
    lambda n, w, data, inner: data[w : w + n],
    _date,
    _time,
    _timetz,
    _timestamp,
    _timestamptz,
    lambda n, w, data, inner: Interval(*_INTERVAL.unpack_from(data, w)),
    lambda n, w, data, inner: data[w : w + n].decode(),
    lambda n, w, data, inner: inner[w : w + n],
    _map,
    lambda n, w, data, inner: (inner[w], inner[w + 1]),
)


def plain(v: Any, s: Optional[Schema]) -> Any:
    """A Connect value as an author reads it: a struct as a dict by the names of its schema, a map as a dict."""
    if isinstance(v, StructValue):
        if s is not None and len(s.fields) == len(v):
            return {name: plain(x, of) for x, (name, of) in zip(v, s.fields)}
        return [plain(x, None) for x in v]
    if isinstance(v, MapValue):
        key, elem = (s.key, s.elem) if s is not None else (None, None)
        return {_hashable(plain(k, key)): plain(x, elem) for k, x in v}
    if isinstance(v, list):
        elem = s.elem if s is not None else None
        return [plain(x, elem) for x in v]
    if isinstance(v, (Int8, Int16, Int32)):
        return int(v)
    return float(v) if isinstance(v, Float32) else v


def _hashable(v: Any) -> Any:
    if isinstance(v, list):
        return tuple(_hashable(x) for x in v)
    return tuple(v.items()) if isinstance(v, dict) else v


_INTEGERS = {SchemaKind.INT8: Int8, SchemaKind.INT16: Int16, SchemaKind.INT32: Int32, SchemaKind.INT64: int}


def typed(v: Any, s: Optional[Schema], where: str = "value") -> Any:
    """What an author wrote as a Connect value of the schema. Raises TypeError for what does not fit; `where` is for its text."""
    if s is None:
        return v
    if v is None:
        if not s.optional and s.default is None:
            raise TypeError(f"{where} is None, and its schema is not optional")
        return s.default if v is None and not s.optional else None
    kind = s.kind
    if kind in _INTEGERS and isinstance(v, int) and not isinstance(v, bool):
        return _INTEGERS[kind](v)
    if kind in (SchemaKind.FLOAT32, SchemaKind.FLOAT64) and isinstance(v, (int, float)) and not isinstance(v, bool):
        return Float32(v) if kind == SchemaKind.FLOAT32 else float(v)
    if kind == SchemaKind.BOOLEAN and isinstance(v, bool) or kind == SchemaKind.STRING and isinstance(v, str):
        return v
    if kind == SchemaKind.BYTES and isinstance(v, (bytes, bytearray, memoryview)):
        return bytes(v)
    if kind == SchemaKind.ARRAY and isinstance(v, (list, tuple)):
        return [typed(x, s.elem, f"{where}[{i}]") for i, x in enumerate(v)]
    if kind == SchemaKind.MAP and isinstance(v, dict):
        return MapValue((typed(k, s.key, f"a key of {where}"), typed(x, s.elem, f"{where}[{k!r}]")) for k, x in v.items())
    if kind == SchemaKind.STRUCT and isinstance(v, dict):
        unknown = v.keys() - {name for name, _ in s.fields}
        if unknown:
            raise TypeError(f"{where} has the member {sorted(unknown)[0]!r}, which its schema does not have")
        return StructValue([typed(v.get(name), of, f"{where}.{name}") for name, of in s.fields])
    raise TypeError(f"{where} is a {type(v).__name__}, its schema says {kind.name}")
