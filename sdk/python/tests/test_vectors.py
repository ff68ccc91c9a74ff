"""The recorded messages of the protocol (connectors/testdata/wire): read, understood as they are described, and written byte by byte."""

import json
import struct
import sys
from pathlib import Path

import numpy
import pytest

from freshet_plugin import Kind, Reader, WireError
from freshet_plugin.schemas import ABSENT
from freshet_plugin.values import decode_cells
from freshet_plugin.wire import Definitions, Encoder, Float32, Int8, Int16, Int32, MapValue, StructValue, header

VECTORS = json.loads((Path(__file__).parents[3] / "connectors" / "testdata" / "wire" / "v1.json").read_text())


@pytest.fixture(params=["plain", "numpy"])
def way(request, monkeypatch):
    """Both ways of checking."""
    if request.param == "plain":
        monkeypatch.delitem(sys.modules, "numpy")
    else:
        monkeypatch.setitem(sys.modules, "numpy", numpy)


def write(b, known):
    """The batch in bytes again."""
    known.define(b.streams, [s for body in b._bodies for s in (body[0], body[2])])
    e = Encoder()
    e.text(b.partition_text)
    e.text(b.offset_text)
    e.uint(b.id)
    e.order(b.through)
    e.sint(b.committed)
    e.uint(len(b.extra))
    for p, o in b.extra:
        e.text(p)
        e.text(o)
    known.write(e)
    e.uint(len(b.streams))
    for s in b.streams:
        e.uint(known.streams[s])
    e.uint(len(b._bodies))
    for key_schema, key, value_schema, value in b._bodies:
        e.uint(known.schema(key_schema))
        e.value(key)
        e.uint(known.schema(value_schema))
        e.value(value)
    e.uint(len(b.raws))
    for r in b.raws:
        e.text(r[0] if r else "")
        if r:
            e.sint(r[1]), e.sint(r[2]), e.sint(r[3]), e.nullable(r[4]), e.nullable(r[5])
            e.uint(len(r[6]))
            for k, v in r[6]:
                e.blob(k)
                e.nullable(v)
    e.out += bytes(-len(e.out) % 8)
    sizes = [len(p) // n for p, n in zip(b._parts, (80, 16, 16, 1))]
    top = header(known.anew, len(e.out), *sizes)
    known.anew = False
    return b"".join((top, e.out, *b._parts))


def shown_value(v):
    """A Connect value as the vectors describe it."""
    if v is None:
        return {"null": True}
    if isinstance(v, bool):
        return {"boolean": v}
    for cls, name in ((Int8, "int8"), (Int16, "int16"), (Int32, "int32")):
        if isinstance(v, cls):
            return {name: v}
    if isinstance(v, int):
        return {"int64": str(v)}
    if isinstance(v, Float32):
        return {"float32": ..., "bits": struct.pack(">f", v).hex()}
    if isinstance(v, float):
        return {"float64": ..., "bits": struct.pack(">d", v).hex()}
    if isinstance(v, str):
        return {"string": v}
    if isinstance(v, bytes):
        return {"bytes": v.hex()}
    if isinstance(v, MapValue):
        return {"map": [[shown_value(k), shown_value(x)] for k, x in v]}
    return {"struct" if isinstance(v, StructValue) else "array": [shown_value(x) for x in v]}


def without_texts(x):
    """The spelling of floats is Go's; their bits are compared."""
    if isinstance(x, dict):
        return {k: ... if k in ("float32", "float64") else without_texts(v) for k, v in x.items()}
    return [without_texts(v) for v in x] if isinstance(x, list) else x


def check_cell(shown, value):
    """Whether a decoded cell is what is described."""
    kind = Kind[shown["kind"].upper()]
    if kind in (Kind.ABSENT, Kind.NULL, Kind.UNAVAILABLE):
        return repr(value) == {Kind.ABSENT: "ABSENT", Kind.NULL: "None", Kind.UNAVAILABLE: "UNAVAILABLE"}[kind]
    if kind in (Kind.BOOL, Kind.BITS):
        return value == shown["value"]
    if kind in (Kind.INT, Kind.UINT):
        return str(value) == shown["value"]
    if kind in (Kind.FLOAT32, Kind.FLOAT64):
        return struct.pack(">d", value).hex() == shown["bits"]
    if kind in (Kind.TEXT, Kind.BYTES):
        raw = value.encode(errors="surrogateescape") if kind == Kind.TEXT else value
        return raw.hex() == shown["hex"] if "hex" in shown else raw.decode() == shown["value"]
    if kind == Kind.DECIMAL:
        return str(value.__class__(shown["value"])) == str(value)
    if kind == Kind.INTERVAL:
        return (value.months, value.days, str(value.micros)) == (shown["months"], shown["days"], shown["micros"])
    if kind in (Kind.LIST, Kind.POINT):
        return len(value) == len(shown["elements"]) and all(map(check_cell, shown["elements"], value))
    if kind == Kind.MAP:
        keys = shown["elements"][0::2]
        return list(value) == list(dict.fromkeys(k["value"] for k in keys)) or not all("value" in k for k in keys)
    return value is not None and value is not ABSENT  # times: test_batches.py


@pytest.mark.parametrize("connection", VECTORS["connections"], ids=lambda c: c["name"])
def test_recorded(connection, way):
    reader, known = Reader(), Definitions()
    for m in connection["messages"]:
        message, shown = bytes.fromhex(m["hex"]), m["batch"]
        b = reader.decode(message)
        if shown["anew"]:
            known.forget()
        assert (b.partition_text, b.offset_text, str(b.id), str(b.committed)) == (shown["source"], shown["offset"], shown["id"], shown["committed"])
        assert [b.through.epoch, str(b.through.major), b.through.minor] == list(shown["through"].values())
        assert [list(x) for x in b.extra] == shown["extra"]
        assert [[shown_value(x) for x in body[1::2]] for body in b._bodies] == [[without_texts(x["value"]) for x in body] for body in shown["bodies"]]
        for s, new in zip(reader._known.streams[-len(shown["newStreams"]) :], shown["newStreams"]):
            assert (s.topic, [f.name for f in s.fields], [f.name for f in s.key_fields]) == (new["topic"], [f["name"] for f in new["fields"]], [f["name"] for f in new["keyFields"]])
            columns = [[c.name, c.type.name.lower(), c.length, c.scale, c.optional, list(c.allowed)] for c in s.table.columns] if s.table else None
            assert columns == ([[c["name"], c["type"].lower(), c["length"], c["scale"], c["optional"], c["allowed"]] for c in new["table"]["columns"]] if new["table"] else None)
        for r, record in zip(b, shown["records"]):
            assert (r.op.name.lower(), r.last, r.kafka_partition, str(r.timestamp)) == (record["op"], record["last"], record["kafkaPartition"], record["timestamp"])
            assert [r.order.epoch, str(r.order.major), r.order.minor] == list(record["order"].values())
            assert [list(r._r[at : at + 2]) for at in range(4, 14, 2)] == [record[k] for k in ("key", "before", "after", "source", "headers")]
        assert len(b) == len(shown["records"])
        cells = b._read_cells()
        values = decode_cells(cells.heads, cells.words, cells.nested, cells.data)
        assert len(values) == len(shown["cells"])
        for value, cell in zip(values, shown["cells"]):
            assert check_cell(cell, value), (cell, value)
        assert write(b, known) == message, m["name"]


@pytest.mark.parametrize("x", VECTORS["refused"] or [], ids=lambda x: x["name"])
def test_refused(x, way):
    reader = Reader()
    for before in x.get("before", []):
        reader.decode(bytes.fromhex(before))
    with pytest.raises(WireError, match="^decode batch: "):
        reader.decode(bytes.fromhex(x["hex"]))
