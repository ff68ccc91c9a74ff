"""What the cells and records of a batch must be, so that they can be read without another check (connectors/wirecheck.go)."""

from __future__ import annotations

import math
import re
import struct
import sys
from typing import Any, List, Sequence, Tuple

from .errors import WireError
from .schemas import Kind, Stream
from .wire import RECORD, U32

LISTS = 64  # how deep lists may nest
UNFOLDED = 1 << 26  # how many cells those of a batch may stand for, lists unfolded
LITTLE = sys.byteorder == "little"

_PLAIN = frozenset((Kind.INT, Kind.UINT, Kind.FLOAT64, Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ))
_EMPTY = frozenset((Kind.ABSENT, Kind.NULL, Kind.UNAVAILABLE))
_BYTES = frozenset((Kind.TEXT, Kind.BYTES))
_CONTENT = frozenset((Kind.TEXT, Kind.BYTES, Kind.DECIMAL, Kind.BITS, Kind.INTERVAL))
_LISTS = frozenset((Kind.LIST, Kind.MAP, Kind.POINT))
DECIMAL = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)|NaN|-?Infinity")
BITS = re.compile(rb"[01]*")
_F32, _F64, _Q = struct.Struct("<f"), struct.Struct("<d"), struct.Struct("<Q")

Record = Tuple[Any, ...]  # stream, value, op | last << 8, KafkaPartition, five rows of start and count, timestamp, epoch, minor, major


def words(cells: memoryview) -> Tuple[List[int], List[int]]:
    """The two 64-bit words of each cell."""
    if LITTLE:
        w = cells.cast("Q")
        return w[0::2].tolist(), w[1::2].tolist()
    pairs = list(struct.iter_unpack("<2Q", cells))
    return [a for a, _ in pairs], [b for _, b in pairs]


class Cells:
    """The cells of a batch as lists of words, checked."""

    def __init__(self, cells: memoryview, nested: memoryview, data: bytes) -> None:
        self.data = data
        self.nested: Tuple[List[int], List[int]] = ([], [])
        self.sizes = [0]
        self.depths: List[int] = []  # of the nested cells: how deep their lists nest
        self._depth = 0  # of the cell that was checked last
        if len(nested):
            self.nested = words(nested)
            for i, (h, w) in enumerate(zip(*self.nested)):
                try:
                    size = self._check(h, w)
                except WireError as e:
                    raise WireError(f"decode batch: nested cell {i}: {e}") from None
                self.sizes.append(self.sizes[i] + size)
                self.depths.append(self._depth)
        self.heads, self.words = words(cells)
        n, total = len(data), 0
        for i, (h, w) in enumerate(zip(self.heads, self.words)):
            if h in _PLAIN or h & U32 in _BYTES and w + (h >> 32) <= n:
                continue  # a plain word; text or bytes within the data
            try:
                total += self._check(h, w)
            except WireError as e:
                raise WireError(f"decode batch: cell {i}: {e}") from None
            if total > UNFOLDED:
                raise WireError(f"decode batch: cell {i}: the lists of the batch stand for more than {UNFOLDED} cells")

    def _check(self, h: int, w: int) -> int:
        """How many cells this one stands for; it may refer to the nested cells that sizes knows."""
        kind, n = h & 0xFF, h >> 32
        self._depth = 0
        if kind > Kind.POINT:
            raise WireError(f"kind {kind}")
        if h & 0xFFFFFF00:
            raise WireError(f"bytes 1 to 3 are {h >> 8 & 0xFFFFFF:06x}, not 0")
        if kind in _CONTENT:
            self._content(kind, n, w)
            return 1
        if kind in _LISTS:
            return self._list(kind, n, w)
        if kind == Kind.TIMETZ:
            zone = n - (1 << 32) if n >> 31 else n
            if not -86400 < zone < 86400:
                raise WireError(f"a zone of {zone} seconds")
        elif n or kind in _EMPTY and w:
            raise WireError(f"length {n} and word {w} in kind {kind}")
        elif kind == Kind.BOOL and w > 1:
            raise WireError(f"boolean {w}")
        elif kind == Kind.FLOAT32 and not single(w):
            raise WireError("no single-precision number")
        return 1

    def _content(self, kind: int, n: int, w: int) -> None:
        if w + n > len(self.data):
            raise WireError(f"bytes {w}+{n} of {len(self.data)}")
        if kind == Kind.INTERVAL and n != 16:
            raise WireError(f"an interval of {n} bytes, not 16")
        if kind == Kind.DECIMAL and not DECIMAL.fullmatch(self.data, w, w + n):
            raise WireError(f"decimal {self.data[w : w + min(n, 40)]!r}")
        if kind == Kind.BITS and not BITS.fullmatch(self.data, w, w + n):
            raise WireError(f"bits {self.data[w : w + min(n, 40)]!r}")

    def _list(self, kind: int, n: int, w: int) -> int:
        limit = len(self.sizes) - 1
        if w + n > limit:
            raise WireError(f"elements {w}+{n} of {limit}")
        heads = self.nested[0]
        if kind == Kind.MAP:
            if n % 2:
                raise WireError(f"{n} elements in a map")
            for h in heads[w : w + n : 2]:
                if h & 0xFF != Kind.TEXT:
                    raise WireError(f"a key of kind {h & 0xFF} in a map")
        elif kind == Kind.POINT and (n != 2 or heads[w] & 0xFF != Kind.FLOAT64 or heads[w + 1] & 0xFF != Kind.FLOAT64):
            raise WireError("a point is two of kind 7")
        size = self.sizes[w + n] - self.sizes[w]
        if size > len(self.nested[0]):
            raise WireError("a list that stands for more cells than there are")
        self._depth = 1 + max(self.depths[w : w + n], default=0)
        if self._depth > LISTS:
            raise WireError(f"lists nested deeper than {LISTS}")
        return 1 + size


def single(w: int) -> bool:
    """Whether this is a double that a number of single precision holds."""
    v = _F64.unpack(_Q.pack(w))[0]
    if math.isnan(v) or math.isinf(v):
        return True
    try:
        return bool(_F32.unpack(_F32.pack(v))[0] == v)
    except OverflowError:
        return False


class Needs:
    """How many cells the rows of a stream must have."""

    def __init__(self, s: Stream) -> None:
        self.stream = s
        self.key = max((f.cell + 1 for f in s.key_fields), default=0)
        self.row = max((f.cell + 1 for f in s.fields), default=0)
        if s.table is not None:
            self.row = max(self.row, len(s.table.columns))
        self.source = max((f.cell + 1 for f in s.source.fields), default=0) if s.source is not None else 0
        self.transaction = s.source.transaction if s.source is not None else 0


def records(text: memoryview, streams: Sequence[Needs], bodies: int, cells: Cells) -> List[Record]:
    """Reads the records and checks them."""
    out = list(RECORD.iter_unpack(text))
    n = len(cells.heads)
    for i, r in enumerate(out):
        try:
            _record(r, streams, bodies, n, cells)
        except WireError as e:
            raise WireError(f"decode batch: record {i}: {e}") from None
    return out


def _record(r: Record, streams: Sequence[Needs], bodies: int, n: int, cells: Cells) -> None:
    if r[2] & ~0x1FF & U32:
        raise WireError(f"bytes 9 to 11 are {r[2] >> 8 & 0xFFFFFF:06x}")
    if r[0] >= len(streams):
        raise WireError(f"stream {r[0]} of {len(streams)}")
    if r[1] > bodies:
        raise WireError(f"body {r[1]} of {bodies}")
    if r[2] & 0xFF > 7:
        raise WireError(f"operation {r[2] & 0xFF}")
    if r[3] < -1:
        raise WireError(f"partition {r[3]} of the topic")
    s = streams[r[0]]
    for at, need, what in ((4, s.key, "key"), (6, s.row, "before"), (8, s.row, "after"), (10, s.source, "source"), (12, 0, "headers")):
        start, count = r[at], r[at + 1]
        if start + count > n:
            raise WireError(f"{what} has cells {start}+{count} of {n}")
        if count and count < need:
            raise WireError(f"{what} has {count} cells, its stream {s.stream.topic} needs {need}")
    if 0 < s.transaction < r[11]:
        _transaction(cells, r[10] + s.transaction)
    if r[13]:
        _headers(cells, r[12], r[13], s)


def _transaction(cells: Cells, at: int) -> None:
    h, w = cells.heads[at], cells.words[at]
    if h & 0xFF in (Kind.ABSENT, Kind.NULL):
        return
    block = [x & 0xFF for x in cells.nested[0][w : w + (h >> 32)]]
    if h & 0xFF != Kind.LIST or block != [Kind.TEXT, Kind.INT, Kind.INT]:
        raise WireError("its transaction is no list of a text and two integers")


def _headers(cells: Cells, start: int, count: int, s: Needs) -> None:
    if count % 2:
        raise WireError(f"{count} cells in its headers")
    for i in range(start, start + count, 2):
        if cells.heads[i] & 0xFF != Kind.TEXT:
            raise WireError(f"the name of a header is of kind {cells.heads[i] & 0xFF}")
        h = cells.heads[i + 1]
        if h & 0xFF == Kind.LIST and (s.stream.key is None or h >> 32 < s.key):
            raise WireError(f"a header has a key row of {h >> 32} cells, its stream {s.stream.topic} needs {s.key}")
