"""Python values as cells, a column at a time."""

from __future__ import annotations

import datetime as dt
import struct
from array import array
from decimal import Decimal
from itertools import accumulate, chain
from typing import Any, Callable, Dict, List, Sequence, Tuple

from .check import BITS, DECIMAL
from .schemas import ABSENT, UNAVAILABLE, Column, Interval, Kind, Moment, Type
from .values import TimeTZ

Encoded = Tuple["array[int]", "array[int]"]  # heads and words
_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_MICRO = dt.timedelta(microseconds=1)
_INTERVAL = struct.Struct("<iiq")
_MISSING = {id(None): Kind.NULL, id(UNAVAILABLE): Kind.UNAVAILABLE, id(ABSENT): Kind.ABSENT}
_RANGES = {Type.INT16: 1 << 15, Type.INT32: 1 << 31}


class Arena:
    """What the cells of a batch refer to: bytes, and the elements of lists."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.nested = array("Q")


def encode(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    """The cells of a column. Raises TypeError or ValueError that names the value that does not fit."""
    fast = _ENCODERS[c.type.kind]
    data, nested = len(arena.data), len(arena.nested)
    try:
        return fast(c, values, arena)
    except (TypeError, AttributeError, ValueError, OverflowError, ArithmeticError):
        del arena.data[data:], arena.nested[nested:]
    missing = [i for i, v in enumerate(values) if id(v) in _MISSING]
    if not missing:
        _blame(c, values)
    if not c.optional and any(values[i] is None for i in missing):
        raise TypeError(f"column {c.name}: row {next(i for i in missing if values[i] is None)} is None, and the column is not optional")
    given = [v for v in values if id(v) not in _MISSING]
    try:
        heads, words = fast(c, given, arena)
    except (TypeError, AttributeError, ValueError, OverflowError, ArithmeticError):
        _blame(c, values)
        raise
    all_heads, all_words = array("Q", bytes(8 * len(values))), array("Q", bytes(8 * len(values)))
    at = 0
    for i, v in enumerate(values):
        kind = _MISSING.get(id(v))
        if kind is not None:
            all_heads[i] = kind
        else:
            all_heads[i], all_words[i] = heads[at], words[at]
            at += 1
    return all_heads, all_words


def _blame(c: Column, values: Sequence[Any]) -> None:
    """Raises for the first value that does not fit."""
    for i, v in enumerate(values):
        if id(v) in _MISSING:
            continue
        try:
            _ENCODERS[c.type.kind](c, [v], Arena())
        except (TypeError, AttributeError, ValueError, OverflowError, ArithmeticError) as e:
            text = f"column {c.name}: row {i} is {v!r:.100} ({type(v).__name__}), which is no {c.type.name}"
            raise type(e)(f"{text}: {e}") if type(e) in (TypeError, ValueError) else TypeError(f"{text}: {e}") from None


def _same(head: int, n: int) -> "array[int]":
    return array("Q", [head]) * n


def _unsigned(words: "array[Any]") -> "array[int]":
    out = array("Q")
    out.frombytes(words.tobytes())
    return out


def _bools(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    if not all(type(v) is bool for v in values):
        raise TypeError("True or False is expected")
    return _same(Kind.BOOL, len(values)), array("Q", values)


def _ints(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    words = array("q", values)
    limit = _RANGES.get(c.type)
    if limit is not None and words and not (-limit <= min(words) and max(words) < limit):
        raise ValueError("out of range")
    return _same(Kind.INT, len(words)), _unsigned(words)


def _uints(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    return _same(Kind.UINT, len(values)), array("Q", values)


def _float32s(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    return _same(Kind.FLOAT32, len(values)), _unsigned(array("d", array("f", values)))


def _float64s(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    return _same(Kind.FLOAT64, len(values)), _unsigned(array("d", values))


def _content(kind: int, texts: List[bytes], arena: Arena) -> Encoded:
    lengths = [len(t) for t in texts]
    at = len(arena.data)
    arena.data += b"".join(texts)
    starts = array("Q", accumulate(chain((at,), lengths)))
    starts.pop()
    return array("Q", [n << 32 | kind for n in lengths]), starts


def _texts(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    return _content(Kind.TEXT, [str.encode(v) for v in values], arena)




def _blobs(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    if not all(isinstance(v, (bytes, bytearray, memoryview)) for v in values):
        raise TypeError("bytes are expected")
    return _content(Kind.BYTES, [bytes(v) for v in values], arena)


def _decimal(v: Any) -> bytes:
    if isinstance(v, Decimal):
        text = format(v, "f")
        if v.is_nan():
            text = "NaN"
    elif isinstance(v, int) and not isinstance(v, bool):
        text = str(v)
    elif isinstance(v, str):
        text = v
    else:
        raise TypeError("a Decimal, an int or the text of one is expected")
    out = text.encode()
    if not DECIMAL.fullmatch(out):
        raise ValueError("no decimal")
    return out


def _decimals(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    return _content(Kind.DECIMAL, [_decimal(v) for v in values], arena)


def _bits(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    texts = [str.encode(v) for v in values]
    if not all(BITS.fullmatch(t) for t in texts):
        raise ValueError("a text of 0 and 1 is expected")
    return _content(Kind.BITS, texts, arena)


def _moment(v: Any, kind: Kind) -> int:
    if isinstance(v, Moment) and v.kind == kind:
        return v.value
    raise TypeError(f"no {kind.name.lower()}")


def _day(v: Any) -> int:
    if isinstance(v, dt.date) and not isinstance(v, dt.datetime):
        return v.toordinal() - 719163
    return _moment(v, Kind.DATE)


def _micros(v: dt.time) -> int:
    return ((v.hour * 60 + v.minute) * 60 + v.second) * 1_000_000 + v.microsecond


def _clock(v: Any) -> int:
    if isinstance(v, dt.time):
        if v.tzinfo is not None:
            raise ValueError("it has a time zone; use TIMETZ")
        return _micros(v)
    return v // _MICRO if isinstance(v, dt.timedelta) else _moment(v, Kind.TIME)


def _naive(v: Any) -> int:
    if isinstance(v, dt.datetime):
        if v.tzinfo is not None:
            raise ValueError("it has a time zone; use TIMESTAMPTZ")
        return (v - _EPOCH) // _MICRO
    return _moment(v, Kind.TIMESTAMP)


def _aware(v: Any) -> int:
    if isinstance(v, dt.datetime):
        if v.tzinfo is None:
            raise ValueError("it has no time zone; use TIMESTAMP, or give it one")
        return (v - _EPOCH_UTC) // _MICRO
    return _moment(v, Kind.TIMESTAMPTZ)


def _temporal(kind: Kind, one: Callable[[Any], int]) -> Callable[[Column, Sequence[Any], Arena], Encoded]:
    def all_of(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
        return _same(kind, len(values)), _unsigned(array("q", [one(v) for v in values]))

    return all_of


def _zoned(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    heads, words = array("Q"), array("q")
    for v in values:
        if isinstance(v, TimeTZ):
            micros, zone = v
        else:
            offset = v.utcoffset() if isinstance(v, dt.time) else None
            if offset is None:
                raise TypeError("a time with a fixed time zone is expected")
            micros, zone = _micros(v), offset // dt.timedelta(seconds=1)
        heads.append((zone & 0xFFFFFFFF) << 32 | Kind.TIMETZ)
        words.append(micros)
    return heads, _unsigned(words)


def _intervals(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    parts = [v if isinstance(v, Interval) else Interval(0, v.days, v // _MICRO - v.days * 86_400_000_000) for v in values]
    try:
        return _content(Kind.INTERVAL, [_INTERVAL.pack(*p) for p in parts], arena)
    except struct.error as e:
        raise ValueError(str(e)) from None


def _append(arena: Arena, heads: Sequence[int], words: Sequence[int]) -> int:
    """Appends elements to the nested cells and tells where they begin."""
    at = len(arena.nested) // 2
    both = array("Q", bytes(16 * len(heads)))
    both[0::2], both[1::2] = array("Q", heads), array("Q", words)
    arena.nested.extend(both)
    return at


def _lists_of(kind: Kind, lengths: List[int], at: int) -> Encoded:
    starts = array("Q", accumulate(chain((at,), lengths)))
    starts.pop()
    return array("Q", [n << 32 | kind for n in lengths]), starts


def _lists(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    if c.elem is None:
        raise TypeError(f"column {c.name} is a LIST without elem")
    if not all(isinstance(v, (list, tuple)) for v in values):
        raise TypeError("a list is expected")
    heads, words = encode(c.elem, [x for v in values for x in v], arena)
    return _lists_of(Kind.LIST, [len(v) for v in values], _append(arena, heads, words))


_TEXT = Column("key", Type.TEXT, optional=False)
_TEXTS = Column("value", Type.TEXT)


def _maps(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    items: List[Any] = [pair for v in values for pair in v.items()]
    keys = encode(_TEXT, [k for k, _ in items], arena)
    texts = encode(_TEXTS, [x for _, x in items], arena)
    heads, words = array("Q", bytes(16 * len(items))), array("Q", bytes(16 * len(items)))
    heads[0::2], heads[1::2], words[0::2], words[1::2] = keys[0], texts[0], keys[1], texts[1]
    return _lists_of(Kind.MAP, [2 * len(v) for v in values], _append(arena, heads, words))


def _points(c: Column, values: Sequence[Any], arena: Arena) -> Encoded:
    flat = array("d", [x for p in values for x in p])
    if any(len(p) != 2 for p in values):
        raise TypeError("x and y are expected")
    return _lists_of(Kind.POINT, [2] * len(values), _append(arena, _same(Kind.FLOAT64, len(flat)), _unsigned(flat)))


_ENCODERS: Dict[Kind, Callable[[Column, Sequence[Any], Arena], Encoded]] = {
    Kind.BOOL: _bools,
    Kind.INT: _ints,
    Kind.UINT: _uints,
    Kind.FLOAT32: _float32s,
    Kind.FLOAT64: _float64s,
    Kind.DECIMAL: _decimals,
    Kind.TEXT: _texts,
    Kind.BYTES: _blobs,
    Kind.DATE: _temporal(Kind.DATE, _day),
    Kind.TIME: _temporal(Kind.TIME, _clock),
    Kind.TIMETZ: _zoned,
    Kind.TIMESTAMP: _temporal(Kind.TIMESTAMP, _naive),
    Kind.TIMESTAMPTZ: _temporal(Kind.TIMESTAMPTZ, _aware),
    Kind.INTERVAL: _intervals,
    Kind.BITS: _bits,
    Kind.LIST: _lists,
    Kind.MAP: _maps,
    Kind.POINT: _points,
}
