"""The stream of a table or topic: which Connect schemas its records have, with the names that Debezium gives them."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Union

from .schemas import Column, Field, Schema, SchemaKind, SourceBlock, SourceField, Stream, Table, Topic, Type

# Views of connectors/batch.go: how a cell becomes a Connect value.
_PLAIN, _DECIMAL, _VARIABLE, _DAYS, _TIME_MICROS, _TIMESTAMP_MICROS = 0, 4, 7, 8, 10, 13
_ZONED_TIMESTAMP, _ZONED_TIME, _DURATION, _BITS, _MAP_JSON, _LIST, _POINT = 18, 19, 20, 22, 24, 26, 27
_UNAVAILABLE = "__debezium_unavailable_value"

_SIMPLE: Dict[Type, Tuple[SchemaKind, str, int, int]] = {
    Type.BOOL: (SchemaKind.BOOLEAN, "", _PLAIN, 0),
    Type.INT16: (SchemaKind.INT16, "", _PLAIN, 0),
    Type.INT32: (SchemaKind.INT32, "", _PLAIN, 0),
    Type.INT64: (SchemaKind.INT64, "", _PLAIN, 0),
    Type.FLOAT32: (SchemaKind.FLOAT32, "", _PLAIN, 0),
    Type.FLOAT64: (SchemaKind.FLOAT64, "", _PLAIN, 0),
    Type.BYTES: (SchemaKind.BYTES, "", _PLAIN, 0),
    Type.DATE: (SchemaKind.INT32, "io.debezium.time.Date", _DAYS, 0),
    Type.TIME: (SchemaKind.INT64, "io.debezium.time.MicroTime", _TIME_MICROS, 6),
    Type.TIMETZ: (SchemaKind.STRING, "io.debezium.time.ZonedTime", _ZONED_TIME, 0),
    Type.TIMESTAMP: (SchemaKind.INT64, "io.debezium.time.MicroTimestamp", _TIMESTAMP_MICROS, 6),
    Type.TIMESTAMPTZ: (SchemaKind.STRING, "io.debezium.time.ZonedTimestamp", _ZONED_TIMESTAMP, 6),
    Type.INTERVAL: (SchemaKind.INT64, "io.debezium.time.MicroDuration", _DURATION, 0),
    Type.UUID: (SchemaKind.STRING, "io.debezium.data.Uuid", _PLAIN, 0),
    Type.JSON: (SchemaKind.STRING, "io.debezium.data.Json", _PLAIN, 0),
    Type.XML: (SchemaKind.STRING, "io.debezium.data.Xml", _PLAIN, 0),
    Type.MAP: (SchemaKind.STRING, "io.debezium.data.Json", _MAP_JSON, 0),
}


def stream_of(x: Union[Table, Topic, Stream]) -> Stream:
    """The stream of a table or topic; the same object each time."""
    if isinstance(x, Stream):
        return x
    stream: Optional[Stream] = getattr(x, "_stream", None)
    if stream is None:
        stream = Stream(x.name, x.key, x.value) if isinstance(x, Topic) else _of_table(x)
        setattr(x, "_stream", stream)
    return stream


def _of_table(t: Table) -> Stream:
    if len(set(t.names)) != len(t.names):
        raise ValueError(f"table {t.id}: two columns have one name")
    topic = t.topic or t.id
    fields = []
    for i, c in enumerate(t.columns):
        f = _field(c)
        f.cell = i
        fields.append(f)
    row = Schema.struct(topic + ".Value", {}, optional=t.envelope)
    row.fields = [(f.name, _given(f.schema)) for f in fields]
    key, key_fields = None, []
    if t.key:
        for i, name in enumerate(t.key):
            f = _field(t.column(name))
            f.cell = i
            key_fields.append(f)
        key = Schema.struct(topic + ".Key")
        key.fields = [(f.name, _given(f.schema)) for f in key_fields]
    s = Stream(topic, key, row, row, key_fields, fields, t)
    if t.envelope:
        s.source = _source(t)
        s.value = _envelope(topic, row, _given(s.source.schema))
    return s


def _given(s: Optional[Schema]) -> Schema:
    assert s is not None
    return s


def _field(c: Column) -> Field:
    unavailable: Any = None
    if c.type in _SIMPLE:
        kind, name, view, scale = _SIMPLE[c.type]
        schema = Schema(kind, c.optional, name, 1 if name else 0)
    elif c.type in (Type.DECIMAL, Type.MONEY, Type.UINT64):
        return _decimal(c)
    elif c.type == Type.ENUM:
        schema, view, scale = Schema(SchemaKind.STRING, c.optional, "io.debezium.data.Enum", 1, "", [("allowed", ",".join(c.allowed))]), _PLAIN, 0
    elif c.type == Type.BITS:
        length = c.length if c.length > 0 else 2147483647
        schema, view, scale = Schema(SchemaKind.BYTES, c.optional, "io.debezium.data.Bits", 1, "", [("length", str(length))]), _BITS, 0
    elif c.type == Type.LIST:
        if c.elem is None:
            raise ValueError(f"column {c.name} is a LIST without elem")
        elem = _field(c.elem)
        return Field(c.name, Schema.array(_given(elem.schema), c.optional), 0, _LIST, elem=elem)
    elif c.type == Type.POINT:
        return Field(c.name, _point(c.optional), 0, _POINT)
    else:
        schema, view, scale = Schema(SchemaKind.STRING, c.optional), _PLAIN, 0
    if schema.kind == SchemaKind.STRING:
        unavailable = _UNAVAILABLE
    elif schema.kind == SchemaKind.BYTES:
        unavailable = _UNAVAILABLE.encode()
    return Field(c.name, schema, 0, view, scale, None, unavailable)


def _decimal(c: Column) -> Field:
    length, scale = (20, 0) if c.type == Type.UINT64 else (c.length, c.scale)
    if scale >= 0:
        parameters = [("scale", str(scale))]
        if length > 0:
            parameters.append(("connect.decimal.precision", str(length)))
        s = Schema(SchemaKind.BYTES, c.optional, "org.apache.kafka.connect.data.Decimal", 1, "", parameters)
        return Field(c.name, s, 0, _DECIMAL, scale)
    s = Schema(SchemaKind.STRUCT, c.optional, "io.debezium.data.VariableScaleDecimal", 1, "Variable scaled decimal")
    s.fields = [("scale", Schema(SchemaKind.INT32)), ("value", Schema(SchemaKind.BYTES))]
    return Field(c.name, s, 0, _VARIABLE, -1)


def _point(optional: bool) -> Schema:
    s = Schema(SchemaKind.STRUCT, optional, "io.debezium.data.geometry.Point", 1, "Geometry (POINT)")
    s.fields = [("x", Schema(SchemaKind.FLOAT64)), ("y", Schema(SchemaKind.FLOAT64))]
    s.fields += [("wkb", Schema(SchemaKind.BYTES, True)), ("srid", Schema(SchemaKind.INT32, True))]
    return s


#: The cells of a record's source row: µs since 1970 of the change, its snapshot marker (None: streamed), a sequence.
SOURCE_CELLS = 3


def _source(t: Table) -> SourceBlock:
    def text(optional: bool = False) -> Schema:
        return Schema(SchemaKind.STRING, optional)

    snapshot = Schema(
        SchemaKind.STRING, True, "io.debezium.data.Enum", 1, "", [("allowed", "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental")], "false"
    )
    members: List[Tuple[str, Schema, SourceField]] = [
        ("version", text(), SourceField("1", -1)),
        ("connector", text(), SourceField("freshet-plugin", -1)),
        ("name", text(), SourceField(t.topic.split(".")[0] or t.name, -1)),
        ("ts_ms", Schema(SchemaKind.INT64), SourceField(None, 0, 1000)),
        ("snapshot", snapshot, SourceField(None, 1)),
        ("db", text(), SourceField(t.catalog, -1)),
        ("sequence", text(True), SourceField(None, 2)),
        ("ts_us", Schema(SchemaKind.INT64, True), SourceField(None, 0)),
        ("ts_ns", Schema(SchemaKind.INT64, True), SourceField(None, 0, 0, 1000)),
        ("schema", text(True), SourceField(t.schema or None, -1)),
        ("table", text(True), SourceField(t.name, -1)),
    ]
    schema = Schema(SchemaKind.STRUCT, False, "io.freshet.plugin.Source", 1, fields=[(name, s) for name, s, _ in members])
    return SourceBlock(schema, [f for _, _, f in members])


def _envelope(topic: str, row: Schema, source: Schema) -> Schema:
    block = Schema(SchemaKind.STRUCT, True, "event.block", 1)
    block.fields = [("id", Schema(SchemaKind.STRING)), ("total_order", Schema(SchemaKind.INT64)), ("data_collection_order", Schema(SchemaKind.INT64))]
    s = Schema(SchemaKind.STRUCT, False, topic + ".Envelope", 2)
    s.fields = [("before", row), ("after", row), ("source", source), ("transaction", block), ("op", Schema(SchemaKind.STRING))]
    s.fields += [(name, Schema(SchemaKind.INT64, True)) for name in ("ts_ms", "ts_us", "ts_ns")]
    return s
