"""The checks of check.py with NumPy, a column at a time. What is wrong is told by check.py, which looks again."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np

from .check import UNFOLDED, Cells, Needs, records as read_records
from .errors import WireError
from .schemas import Kind

CELL = np.dtype([("head", "<u8"), ("word", "<u8")])
RECORD = np.dtype(
    [("stream", "<u4"), ("value", "<u4"), ("op", "<u4"), ("partition", "<i4"), ("rows", "<u4", (5, 2)), ("timestamp", "<i8")]
    + [("epoch", "<u4"), ("minor", "<u4"), ("major", "<u8")]
)

_PLAIN, _BYTES, _EMPTY, _OTHER, _UNKNOWN = 0, 1, 2, 3, 4
_CLASS = np.full(256, _UNKNOWN, np.uint8)
_CLASS[: Kind.POINT + 1] = _OTHER
_CLASS[[Kind.ABSENT, Kind.NULL, Kind.UNAVAILABLE]] = _EMPTY
_CLASS[[Kind.INT, Kind.UINT, Kind.FLOAT64, Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ]] = _PLAIN
_CLASS[[Kind.TEXT, Kind.BYTES]] = _BYTES
_BYTE_OK = np.zeros(256, bool)
_BYTE_OK[list(b"0123456789.")] = True
_BIT_OK = np.zeros(256, bool)
_BIT_OK[list(b"01")] = True
_LONG = 40  # bytes of a piece, on average


def check_batch(needs: List[Needs], bodies: int, records: memoryview, cells: memoryview, nested: memoryview, data: memoryview) -> None:
    """Raises WireError for cells and records that cannot be read."""
    c = np.frombuffer(cells, CELL)
    n = np.frombuffer(nested, CELL)
    d = np.frombuffer(data, np.uint8)
    r = np.frombuffer(records, RECORD)
    if _cells_ok(c, n, d) and _records_ok(r, needs, bodies, c, n):
        return
    checked = Cells(cells, nested, bytes(data))
    read_records(records, needs, bodies, checked)


def _cells_ok(c: Any, n: Any, d: Any) -> bool:
    """False: there may be something wrong."""
    for part in (n, c):
        head, word = part["head"], part["word"]
        kind = head.astype(np.uint8)
        if (head & 0xFFFFFF00).any():
            return False
        cls = _CLASS[kind]
        length = head >> 32
        if len(d) < 1 << 63 and not _words_ok(cls, kind, length, word, d):
            return False
        if part is n and np.isin(kind, (Kind.LIST, Kind.MAP, Kind.POINT)).any():
            return False  # lists of lists: rare enough for the other way
    return _lists_ok(c, n)


def _words_ok(cls: Any, kind: Any, length: Any, word: Any, d: Any) -> bool:
    if (cls == _UNKNOWN).any() or (length[cls == _PLAIN]).any() or (length | word)[cls == _EMPTY].any():
        return False
    content = (cls == _BYTES) | (kind == Kind.DECIMAL) | (kind == Kind.BITS) | (kind == Kind.INTERVAL)
    starts, lengths = word[content], length[content]
    if (starts > len(d)).any() or (starts + lengths > len(d)).any():
        return False
    if (length[kind == Kind.INTERVAL] != 16).any() or (word[kind == Kind.BOOL] > 1).any():
        return False
    if (length[(kind == Kind.BOOL) | (kind == Kind.FLOAT32)]).any():
        return False
    zone = length[kind == Kind.TIMETZ].astype(np.uint32).view(np.int32)
    if ((zone <= -86400) | (zone >= 86400)).any():
        return False
    single = word[kind == Kind.FLOAT32].view("<f8")
    if len(single):
        with np.errstate(all="ignore"):
            if not ((single.astype(np.float32).astype(np.float64) == single) | np.isnan(single)).all():
                return False
    return _digits_ok(kind == Kind.DECIMAL, length, word, d) and _bits_ok(kind == Kind.BITS, length, word, d)


def _gather(start: Any, length: Any, d: Any) -> Tuple[Any, Any]:
    """The bytes of these pieces one behind the other, and where each begins."""
    length = length.astype(np.int64)
    ends = np.cumsum(length)
    begins = ends - length
    total = int(ends[-1]) if len(ends) else 0
    if total == 0:
        return d[:0], begins
    some = length > 0
    at, n, place = start[some].astype(np.int64), length[some], begins[some]
    jump = at[1:] - at[:-1] - n[:-1]
    if not jump.any():  # they lie like this already
        return d[at[0] : at[0] + total], begins
    if d.itemsize == 1 and total > _LONG * len(at):  # an index would take longer to make than so many bytes to copy, and four times their memory
        pieces = map(memoryview(d).__getitem__, map(slice, at.tolist(), (at + n).tolist()))
        return np.frombuffer(b"".join(pieces), d.dtype), begins
    index = np.ones(total, np.int32 if len(d) < 1 << 31 else np.int64)
    index[0] = at[0]
    index[place[1:]] += jump.astype(index.dtype)
    np.cumsum(index, out=index)
    return d.take(index), begins


def _bits_ok(mask: Any, length: Any, word: Any, d: Any) -> bool:
    if not mask.any():
        return True
    text, _ = _gather(word[mask], length[mask], d)
    return bool(_BIT_OK[text].all())


def _digits_ok(mask: Any, length: Any, word: Any, d: Any) -> bool:
    """Whether decimals are a sign, digits and at most one point; NaN and infinities are left to the other way."""
    if not mask.any():
        return True
    n = length[mask]
    if (n == 0).any():
        return False
    text, begins = _gather(word[mask], n, d)
    first = text[begins]
    signed = (first == ord("-")) | (first == ord("+"))
    fine = _BYTE_OK[text]
    fine[begins] |= signed
    if not fine.all():
        return False
    points = np.add.reduceat((text == ord(".")).astype(np.int64), begins)
    return bool(((points <= 1) & (n.astype(np.int64) - points - signed > 0)).all())


def _lists_ok(c: Any, n: Any) -> bool:
    kind = c["head"].astype(np.uint8)
    lists = np.isin(kind, (Kind.LIST, Kind.MAP, Kind.POINT))
    if not lists.any():
        return True
    kind, start, length = kind[lists], c["word"][lists], c["head"][lists] >> 32
    if (start > len(n)).any() or (start + length > len(n)).any() or int(length.sum()) + len(c) > UNFOLDED:
        return False
    inner = n["head"].astype(np.uint8)
    points = kind == Kind.POINT
    if points.any():
        at = start[points].astype(np.int64)
        if (length[points] != 2).any() or (inner[at] != Kind.FLOAT64).any() or (inner[at + 1] != Kind.FLOAT64).any():
            return False
    maps = kind == Kind.MAP
    if maps.any():
        if (length[maps] % 2).any():
            return False
        keys, begins = _gather(start[maps], length[maps], inner)
        place = np.arange(len(keys)) - np.repeat(begins, length[maps].astype(np.int64))
        if (keys[place % 2 == 0] != Kind.TEXT).any():
            return False
    return True


def _records_ok(r: Any, needs: List[Needs], bodies: int, c: Any, n: Any) -> bool:
    if (r["op"] & 0xFFFFFE00).any() or (r["op"] & 0xFF > 7).any() or (r["stream"] >= len(needs)).any():
        return False
    if (r["value"] > bodies).any() or (r["partition"] < -1).any():
        return False
    start, count = r["rows"][:, :, 0].astype(np.int64), r["rows"][:, :, 1].astype(np.int64)
    if (start + count > len(c)).any() or count[:, 4].any():
        return False  # headers: the other way
    need = np.array([[s.key, s.row, s.row, s.source, 0] for s in needs], np.int64).reshape(-1, 5)
    if ((count > 0) & (count < need[r["stream"]])).any():
        return False
    transaction = np.array([s.transaction for s in needs], np.int64)
    if transaction.any():
        at = transaction[r["stream"]]
        has = (at > 0) & (at < count[:, 3])
        block = c["head"][start[has, 3] + at[has]].astype(np.uint8)
        return bool(np.isin(block, (Kind.ABSENT, Kind.NULL)).all())  # a block: the other way
    return True


__all__ = ["CELL", "RECORD", "WireError", "check_batch"]
