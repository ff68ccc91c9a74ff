"""The head of a batch in bytes: numbers, texts, schemas, streams, values (docs/plugin-protocol.md).

A message is a header of 24 bytes, a head, and then records, cells, nested cells and data as they lie in memory, little endian.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, Dict, List, Optional, Tuple

from .errors import WireError
from .schemas import Column, Field, Order, Schema, SchemaKind, SourceBlock, SourceField, Stream, Table, Type

VERSION = 1
HEADER = 24
RECORD_SIZE = 80
CELL_SIZE = 16
KNOWN_BYTES = 32 << 20  # of the definitions that a connection has at a time
DEPTH = 64  # how deep schemas, values, fields and columns nest
SCHEMA_SIZE = 1 << 20  # how many schemas one may stand for, unfolded
MAX_VIEW = 30
ENVELOPE_FIELDS = 8
RECORD = struct.Struct("<IIIi10IqIIQ")
_HEAD = struct.Struct("<4B5I")
_F32, _F64 = struct.Struct("<f"), struct.Struct("<d")
U32, U64, I32, I64 = 0xFFFFFFFF, (1 << 64) - 1, (1 << 31) - 1, (1 << 63) - 1

(NIL, FALSE, TRUE, T_INT8, T_INT16, T_INT32, T_INT64, T_FLOAT32, T_FLOAT64, T_STRING, T_BYTES, T_ARRAY, T_MAP, T_STRUCT) = range(14)


class Int8(int):
    """An integer of 8 bits."""


class Int16(int):
    """An integer of 16 bits."""


class Int32(int):
    """An integer of 32 bits."""


class Float32(float):
    """A number of single precision."""


class StructValue(Tuple[Any, ...]):
    """The members of a struct, in the order of its schema."""


class MapValue(List[Tuple[Any, Any]]):
    """The entries of a map, in order."""


class Encoder:
    """Writes numbers, texts and values."""

    def __init__(self) -> None:
        self.out = bytearray()

    def uint(self, v: int) -> None:
        out = self.out
        while v > 0x7F:
            out.append(v & 0x7F | 0x80)
            v >>= 7
        out.append(v)

    def sint(self, v: int) -> None:
        self.uint(v << 1 if v >= 0 else (-v << 1) - 1)

    def blob(self, v: bytes) -> None:
        self.uint(len(v))
        self.out += v

    def text(self, v: str) -> None:
        self.blob(v.encode(errors="surrogateescape"))

    def flag(self, v: bool) -> None:
        self.out.append(1 if v else 0)

    def nullable(self, v: Optional[bytes]) -> None:
        if v is None:
            self.uint(0)
        else:
            self.uint(len(v) + 1)
            self.out += v

    def order(self, o: Order) -> None:
        self.uint(o.epoch)
        self.uint(o.major)
        self.uint(o.minor)

    def value(self, v: Any) -> None:
        """Writes a value; an int without a class of its own is one of 64 bits, a float of double precision."""
        out = self.out
        if v is None:
            out.append(NIL)
        elif v is True or v is False:
            out.append(TRUE if v else FALSE)
        elif isinstance(v, int):
            self._integer(v)
        elif isinstance(v, Float32):
            out.append(T_FLOAT32)
            out += _F32.pack(v)
        elif isinstance(v, float):
            out.append(T_FLOAT64)
            out += _F64.pack(v)
        elif isinstance(v, str):
            out.append(T_STRING)
            self.text(v)
        elif isinstance(v, (bytes, bytearray, memoryview)):
            out.append(T_BYTES)
            self.blob(bytes(v))
        elif isinstance(v, (StructValue, list)) and not isinstance(v, MapValue):
            out.append(T_STRUCT if isinstance(v, StructValue) else T_ARRAY)
            self.uint(len(v))
            for x in v:
                self.value(x)
        elif isinstance(v, (MapValue, dict)):
            out.append(T_MAP)
            self.uint(len(v))
            for k, x in v.items() if isinstance(v, dict) else v:
                self.value(k)
                self.value(x)
        else:
            raise TypeError(f"a value of type {type(v).__name__} is none of None, bool, int, float, str, bytes, list, dict")

    def _integer(self, v: int) -> None:
        for cls, tag, bits in ((Int8, T_INT8, 7), (Int16, T_INT16, 15), (Int32, T_INT32, 31), (int, T_INT64, 63)):
            if isinstance(v, cls):
                if not -(1 << bits) <= v < 1 << bits:
                    raise OverflowError(f"integer {v} has more than {bits + 1} bits")
                self.out.append(tag)
                self.sint(v)
                return


class Decoder:
    """Reads the head of a message; every number, length and reference is checked. Raises WireError."""

    def __init__(self, text: memoryview) -> None:
        self.buf = bytes(text)
        self.at = 0
        self.depth = 0

    def fail(self, text: str) -> WireError:
        return WireError(f"decode batch: {text}")

    def rest(self) -> int:
        return len(self.buf) - self.at

    def byte(self) -> int:
        if self.at >= len(self.buf):
            raise self.fail("the head is cut")
        self.at += 1
        return self.buf[self.at - 1]

    def uint(self) -> int:
        buf, at, shift, v = self.buf, self.at, 0, 0
        while True:
            if at >= len(buf):
                raise self.fail("the head is cut")
            b = buf[at]
            at += 1
            v |= (b & 0x7F) << shift
            if b < 0x80:
                break
            shift += 7
            if shift > 63:
                raise self.fail("a number of 64 bits has more bytes than it needs")
        if v > U64 or shift and b == 0:
            raise self.fail("a number of 64 bits has more bytes than it needs")
        self.at = at
        return v

    def sint(self, bits: int = 64) -> int:
        v = self.uint()
        v = -((v + 1) >> 1) if v & 1 else v >> 1
        if not -(1 << (bits - 1)) <= v < 1 << (bits - 1):
            raise self.fail(f"number {v} has more than {bits} bits")
        return v

    def small(self, limit: int) -> int:
        v = self.uint()
        if v > limit:
            raise self.fail(f"number {v} above {limit}")
        return v

    def index(self, least: int) -> int:
        v = self.sint(32)
        if v < least or v == I32:
            raise self.fail(f"index {v}")
        return v

    def blob(self) -> bytes:
        return self.take(self.uint())

    def take(self, n: int) -> bytes:
        if n > self.rest():
            raise self.fail("the head is cut")
        self.at += n
        return self.buf[self.at - n : self.at]

    def text(self) -> str:
        """A text; bytes that are no UTF-8 become surrogates, from which they can be had again."""
        return self.blob().decode(errors="surrogateescape")

    def nullable(self) -> Optional[bytes]:
        n = self.uint()
        return self.take(n - 1) if n else None

    def flag(self) -> bool:
        b = self.byte()
        if b > 1:
            raise self.fail(f"flag {b}")
        return b == 1

    def count(self, least: int) -> int:
        """The length of a list whose items take at least so many bytes."""
        n = self.uint()
        if n > self.rest() // least:
            raise self.fail(f"a list of {n} items in {self.rest()} bytes")
        return n

    def order(self) -> Order:
        return Order(self.small(U32), self.uint(), self.small(U32))

    def down(self) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            raise self.fail(f"nested deeper than {DEPTH}")

    def value(self) -> Any:
        self.down()
        tag = self.byte()
        if tag >= len(_READERS):
            raise self.fail(f"value tag {tag}")
        v = _READERS[tag](self)
        self.depth -= 1
        return v

    def values(self) -> List[Any]:
        return [self.value() for _ in range(self.count(1))]

    def entries(self) -> MapValue:
        return MapValue((self.value(), self.value()) for _ in range(self.count(2)))


_READERS: Tuple[Callable[[Decoder], Any], ...] = (
    lambda d: None,
    lambda d: False,
    lambda d: True,
    lambda d: Int8(d.sint(8)),
    lambda d: Int16(d.sint(16)),
    lambda d: Int32(d.sint(32)),
    lambda d: d.sint(),
    lambda d: Float32(_F32.unpack(d.take(4))[0]),
    lambda d: _F64.unpack(d.take(8))[0],
    Decoder.text,
    Decoder.blob,
    Decoder.values,
    Decoder.entries,
    lambda d: StructValue(d.values()),
)


def split(message: memoryview) -> Tuple[bool, memoryview, memoryview, memoryview, memoryview, memoryview]:
    """The parts of a message: whether definitions begin anew, head, records, cells, nested cells, data."""
    if len(message) and message[0] != VERSION:
        raise WireError(f"decode batch: version {message[0]}, not {VERSION}")
    if len(message) < HEADER:
        raise WireError(f"decode batch: a message of {len(message)} bytes, its header has {HEADER}")
    _, anew, b2, b3, head, records, cells, nested, data = _HEAD.unpack_from(message)
    if anew > 1 or b2 or b3:
        raise WireError(f"decode batch: flags {anew:02x}{b2:02x}{b3:02x} in the header")
    if head % 8:
        raise WireError(f"decode batch: a head of {head} bytes is no multiple of 8")
    if HEADER + head + records * RECORD_SIZE + (cells + nested) * CELL_SIZE + data != len(message):
        raise WireError(
            f"decode batch: a head of {head} bytes, {records} records, {cells}+{nested} cells and {data} bytes are not what {len(message)} bytes hold"
        )
    parts, at = [], HEADER
    for n in (head, records * RECORD_SIZE, cells * CELL_SIZE, nested * CELL_SIZE, data):
        parts.append(message[at : at + n])
        at += n
    return anew == 1, parts[0], parts[1], parts[2], parts[3], parts[4]


def header(anew: bool, head: int, records: int, cells: int, nested: int, data: int) -> bytes:
    """The first bytes of a message. Raises OverflowError for what is too large for one."""
    if max(head, records, cells, nested, data) > U32:
        raise OverflowError("the batch is too large for one message; make smaller ones")
    return _HEAD.pack(VERSION, int(anew), 0, 0, head, records, cells, nested, data)


class Known:
    """The schemas and streams that have come over one connection."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.streams: List[Stream] = []
        self.schemas: List[Schema] = []
        self.sizes: List[Tuple[int, int]] = []  # of each schema: how many it stands for, and how deep they nest
        self.bytes = 0

    def read(self, d: Decoder) -> None:
        """Reads the definitions that are new."""
        n, before = d.count(7), d.rest()
        for _ in range(n):
            self._schema(d)
        self.bytes += before - d.rest()
        n, before = d.count(9), d.rest()
        for _ in range(n):
            self.streams.append(self._stream(d))
        self.bytes += before - d.rest()
        if self.bytes > KNOWN_BYTES:
            raise d.fail(f"streams and schemas take {self.bytes} bytes, more than {KNOWN_BYTES}")

    def ref(self, d: Decoder) -> Optional[Schema]:
        n = d.uint()
        if n > len(self.schemas):
            raise d.fail(f"schema {n} of {len(self.schemas)}")
        return self.schemas[n - 1] if n else None

    def _schema(self, d: Decoder) -> None:
        size = depth = 1

        def part() -> Schema:
            nonlocal size, depth
            n = d.uint()
            if n == 0 or n > len(self.schemas):
                raise d.fail(f"schema {n} of {len(self.schemas)} in a schema")
            its_size, its_depth = self.sizes[n - 1]
            size, depth = size + its_size, max(depth, its_depth + 1)
            if size > SCHEMA_SIZE or depth > DEPTH:
                raise d.fail(f"a schema that stands for more than {SCHEMA_SIZE}, or nests deeper than {DEPTH}")
            return self.schemas[n - 1]

        kind = d.byte()
        if not SchemaKind.INT8 <= kind <= SchemaKind.STRUCT:
            raise d.fail(f"schema kind {kind}")
        s = Schema(SchemaKind(kind), d.flag(), d.text(), d.sint(32), d.text())
        s.parameters = [(d.text(), d.text()) for _ in range(d.count(2))]
        s.default = d.value()
        if s.kind == SchemaKind.STRUCT:
            s.fields = [(d.text(), part()) for _ in range(d.count(2))]
        elif s.kind == SchemaKind.MAP:
            s.key, s.elem = part(), part()
        elif s.kind == SchemaKind.ARRAY:
            s.elem = part()
        self.schemas.append(s)
        self.sizes.append((size, depth))

    def _stream(self, d: Decoder) -> Stream:
        topic = d.text()
        key, value, row = self.ref(d), self.ref(d), self.ref(d)
        key_fields = [self._field(d) for _ in range(d.count(8))]
        fields = [self._field(d) for _ in range(d.count(8))]
        table = _read_table(d) if d.flag() else None
        source = self._source(d) if d.flag() else None
        headers = [(d.text(), d.text()) for _ in range(d.count(2))]
        _match(d, key_fields, key)
        _match(d, fields, row)
        if source is not None and row is not None and value is not None and len(value.fields) < ENVELOPE_FIELDS:
            raise d.fail(f"an envelope of {len(value.fields)} fields, it needs {ENVELOPE_FIELDS}")
        return Stream(topic, key, value, row, key_fields, fields, table, source, headers)

    def _field(self, d: Decoder) -> Field:
        d.down()
        f = Field(d.text(), self.ref(d), d.index(0), d.byte(), d.sint(32), d.value(), d.value())
        if f.view > MAX_VIEW:
            raise d.fail(f"view {f.view}")
        if d.flag():
            f.elem = self._field(d)
        if f.view == VIEW_LIST and (f.elem is None or f.elem.schema is None):
            raise d.fail(f"field {f.name} is a list without an element")
        d.depth -= 1
        return f

    def _source(self, d: Decoder) -> SourceBlock:
        s = SourceBlock(self.ref(d), [SourceField(d.value(), d.index(-1), d.sint(), d.sint()) for _ in range(d.count(4))])
        if s.schema is None or len(s.schema.fields) != len(s.fields):
            raise d.fail(f"{len(s.fields)} fields of a source block are not those of its schema")
        s.transaction = d.small(I32)
        return s


VIEW_LIST = 26


def _match(d: Decoder, fields: List[Field], s: Optional[Schema]) -> None:
    if s is None or not fields:
        return
    if s.kind != SchemaKind.STRUCT or len(s.fields) != len(fields):
        raise d.fail(f"{len(fields)} fields for a schema of kind {s.kind.value} with {len(s.fields)}")
    for f in fields:
        if f.schema is None:
            raise d.fail(f"field {f.name} has no schema")


def _read_table(d: Decoder) -> Table:
    catalog, schema, name = d.text(), d.text(), d.text()
    columns = [_read_column(d) for _ in range(d.count(10))]
    key = []
    for _ in range(d.count(1)):
        k = d.uint()
        if k >= len(columns):
            raise d.fail(f"key column {k} of {len(columns)}")
        key.append(k)
    t = Table(name, columns, [columns[k].name for k in key], schema, catalog, d.text())
    t.key_places = key
    return t


def _read_column(d: Decoder) -> Column:
    d.down()
    name, kind, type_name, length, scale, optional, default = d.text(), d.byte(), d.text(), d.sint(32), d.sint(32), d.flag(), d.text()
    if kind > Type.RANGE:
        raise d.fail(f"column type {kind}")
    c = Column(name, Type(kind), optional, type_name, length, scale, default)
    c.allowed = [d.text() for _ in range(d.count(1))]
    if d.flag():
        c.elem = _read_column(d)
    c.generated, c.comment = d.flag(), d.text()
    d.depth -= 1
    return c


class Definitions:
    """The schemas and streams that have been sent over one connection, and those that the batch at hand adds."""

    def __init__(self) -> None:
        self.streams: Dict[Stream, int] = {}
        self.schemas: Dict[Schema, int] = {}
        self.bytes = 0
        self.anew = False
        self._begin()

    def _begin(self) -> None:
        self._schemas, self._streams = Encoder(), Encoder()
        self._new_schemas = self._new_streams = 0

    def forget(self) -> None:
        """The other side has to forget all with the next message."""
        self.streams.clear()
        self.schemas.clear()
        self.bytes, self.anew = 0, True

    def define(self, streams: List[Stream], bodies: List[Optional[Schema]]) -> None:
        """Makes the definitions that these need; `write` appends them to a head."""
        for last in (False, True):
            self._begin()
            for s in streams:
                if s not in self.streams:
                    self.streams[s] = len(self.streams)
                    self._new_streams += 1
                    self._stream(s)
            for b in bodies:
                self.schema(b)
            self.bytes += len(self._schemas.out) + len(self._streams.out)
            if self.bytes <= KNOWN_BYTES:
                return
            size = self.bytes
            self.forget()
            if last:
                raise ValueError(f"the definitions of its streams take {size} bytes, more than {KNOWN_BYTES}")

    def write(self, e: Encoder) -> None:
        e.uint(self._new_schemas)
        e.out += self._schemas.out
        e.uint(self._new_streams)
        e.out += self._streams.out

    def schema(self, s: Optional[Schema], depth: int = 0) -> int:
        """The number of a schema, defining it where it is new; 0 is None."""
        if s is None:
            return 0
        known = self.schemas.get(s)
        if known is not None:
            return known
        if depth >= DEPTH:
            raise ValueError(f"a schema nested deeper than {DEPTH}")
        parts = [self.schema(part, depth + 1) for _, part in s.fields]
        key, elem = self.schema(s.key, depth + 1), self.schema(s.elem, depth + 1)
        e = self._schemas
        e.out.append(s.kind)
        e.flag(s.optional)
        e.text(s.name)
        e.sint(s.version)
        e.text(s.doc)
        _pairs(e, s.parameters)
        e.value(s.default)
        if s.kind == SchemaKind.STRUCT:
            e.uint(len(parts))
            for (name, _), n in zip(s.fields, parts):
                e.text(name)
                e.uint(n)
        elif s.kind == SchemaKind.MAP:
            e.uint(key)
            e.uint(elem)
        elif s.kind == SchemaKind.ARRAY:
            e.uint(elem)
        self._new_schemas += 1
        self.schemas[s] = len(self.schemas) + 1
        return self.schemas[s]

    def _stream(self, s: Stream) -> None:
        e = self._streams
        e.text(s.topic)
        for part in (s.key, s.value, s.row):
            e.uint(self.schema(part))
        for fields in (s.key_fields, s.fields):
            e.uint(len(fields))
            for f in fields:
                self._field(f)
        e.flag(s.table is not None)
        if s.table is not None:
            _write_table(e, s.table)
        e.flag(s.source is not None)
        if s.source is not None:
            e.uint(self.schema(s.source.schema))
            e.uint(len(s.source.fields))
            for x in s.source.fields:
                e.value(x.constant)
                e.sint(x.cell)
                e.sint(x.divide)
                e.sint(x.multiply)
            e.uint(s.source.transaction)
        _pairs(e, s.headers)

    def _field(self, f: Field) -> None:
        e = self._streams
        e.text(f.name)
        e.uint(self.schema(f.schema))
        e.sint(f.cell)
        e.out.append(f.view)
        e.sint(f.scale)
        e.value(f.when_null)
        e.value(f.when_unavailable)
        e.flag(f.elem is not None)
        if f.elem is not None:
            self._field(f.elem)


def _pairs(e: Encoder, list: List[Tuple[str, str]]) -> None:
    e.uint(len(list))
    for name, value in list:
        e.text(name)
        e.text(value)


def _write_table(e: Encoder, t: Table) -> None:
    e.text(t.catalog)
    e.text(t.schema)
    e.text(t.name)
    e.uint(len(t.columns))
    for c in t.columns:
        _write_column(e, c)
    e.uint(len(t.key))
    for k in t.key_places:
        e.uint(k)
    e.text(t.comment)


def _write_column(e: Encoder, c: Column) -> None:
    e.text(c.name)
    e.out.append(c.type)
    e.text(c.type_name)
    e.sint(c.length)
    e.sint(c.scale)
    e.flag(c.optional)
    e.text(c.default)
    e.uint(len(c.allowed))
    for a in c.allowed:
        e.text(a)
    e.flag(c.elem is not None)
    if c.elem is not None:
        _write_column(e, c.elem)
    e.flag(c.generated)
    e.text(c.comment)
