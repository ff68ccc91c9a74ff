"""Batches in bytes: what is written is what is read, as rows and as columns, and garbage is refused."""

import datetime as dt
import math
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from freshet_plugin import (
    ABSENT,
    UNAVAILABLE,
    Changes,
    Column,
    Interval,
    Kind,
    Moment,
    Op,
    Order,
    Reader,
    Schema,
    SchemaKind,
    Table,
    Topic,
    Type,
    WireError,
)
from freshet_plugin import check
from freshet_plugin.checkarrays import check_batch
from freshet_plugin.schemas import INT32, STRING
from freshet_plugin.values import TimeTZ
from freshet_plugin.wire import Definitions

UTC = dt.timezone.utc
MAX, MIN = (1 << 63) - 1, -(1 << 63)

ALL = Table(
    "all",
    [
        Column("id", Type.INT64, optional=False),
        Column("bool", Type.BOOL),
        Column("int16", Type.INT16),
        Column("int32", Type.INT32),
        Column("uint64", Type.UINT64),
        Column("float32", Type.FLOAT32),
        Column("float64", Type.FLOAT64),
        Column("decimal", Type.DECIMAL, length=12, scale=2),
        Column("text", Type.TEXT),
        Column("bytes", Type.BYTES),
        Column("date", Type.DATE),
        Column("time", Type.TIME),
        Column("timetz", Type.TIMETZ),
        Column("timestamp", Type.TIMESTAMP),
        Column("timestamptz", Type.TIMESTAMPTZ),
        Column("interval", Type.INTERVAL),
        Column("bits", Type.BITS),
        Column("list", Type.LIST, elem=Column("", Type.INT32)),
        Column("lists", Type.LIST, elem=Column("", Type.LIST, elem=Column("", Type.TEXT))),
        Column("map", Type.MAP),
        Column("point", Type.POINT),
        Column("uuid", Type.UUID),
    ],
    key=["id"],
    schema="public",
)
FULL = (
    1,
    True,
    -32768,
    1 << 30,
    (1 << 64) - 1,
    0.5,
    -0.1,
    Decimal("-12.50"),
    "żółw 🐢",
    b"\x00\xff",
    dt.date(2026, 2, 28),
    dt.time(23, 59, 59, 999999),
    dt.time(1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
    dt.datetime(1, 1, 1),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    Interval(1, -2, 3_000_000),
    "0101",
    [1, None, -3],
    [["a", "b"], [], None],
    {"k": "v", "n": None},
    (1.5, -2.0),
    "8f8bd9a0-0000-4000-8000-000000000000",
)
EMPTY = (2, *[None] * (len(ALL.columns) - 1))


def wide(message, reader=None):
    """Reads a batch in both ways of checking it, and returns it."""
    numpy = sys.modules.pop("numpy")
    try:
        plain = Reader().decode(message)
    finally:
        sys.modules["numpy"] = numpy
    b = (reader or Reader()).decode(message)
    assert repr([r.after_values for r in plain]) == repr([r.after_values for r in b])
    return b


def written(*rows, table=ALL):
    return Changes({"p": 1}).insert(table, rows).encode(Definitions())


def test_every_type():
    b = wide(written(FULL, EMPTY))
    assert [r.after_values for r in b.rows()] == [FULL, EMPTY]
    assert b[0].after == dict(zip(ALL.names, FULL)) and b[1].key == {"id": 2}
    assert b[0].stream.table.id == "public.all" and b[0].topic == "public.all"


def test_edges():
    rows = [
        dict(id=1, float64=math.inf, decimal=Decimal("NaN"), date=Moment(Kind.DATE, MAX), time=dt.timedelta(hours=-30), timetz=TimeTZ(86_400_000_000, 0)),
        dict(id=2, float64=float("nan"), decimal="-Infinity", timestamp=Moment(Kind.TIMESTAMP, MIN), timestamptz=Moment(Kind.TIMESTAMPTZ, -(10**17))),
        dict(id=3, text=UNAVAILABLE, bits="", list=[], map={}, bytes=bytearray(b"x"), interval=dt.timedelta(days=-1, seconds=5)),
    ]
    b = wide(written(*rows))
    first, second, third = (r.after for r in b)
    assert first["float64"] == math.inf and first["decimal"].is_nan() and str(first["date"]) == "infinity" and first["date"].infinite
    assert first["time"] == Moment(Kind.TIME, -108_000_000_000) and str(first["time"]) == "-30:00:00" and first["timetz"] == TimeTZ(86_400_000_000, 0)
    assert math.isnan(second["float64"]) and second["decimal"] == Decimal("-Infinity") and str(second["timestamp"]) == "-infinity"
    assert str(second["timestamptz"]) == "-1199-02-15T14:13:20Z"
    assert third["text"] is UNAVAILABLE and third["bits"] == "" and third["list"] == [] and third["map"] == {} and third["bytes"] == b"x"
    assert third["interval"] == Interval(0, -1, 5_000_000) and "point" not in third and b[2].after_values[20] is ABSENT


def test_operations():
    c = Changes({"b": 2, "a": 1}, {"z": 1, "a": 2}, order=5)
    c.snapshot(ALL, [FULL]).update(ALL, [FULL], before=[EMPTY]).delete(ALL, [EMPTY]).truncate(ALL)
    b = wide(c.encode(Definitions(), 9))
    assert (b.id, b.partition_text, b.offset_text, b.partition, b.offset) == (9, '{"a":1,"b":2}', '{"z":1,"a":2}', {"a": 1, "b": 2}, {"z": 1, "a": 2})
    assert [r.op for r in b] == [Op.READ, Op.UPDATE, Op.DELETE, Op.TRUNCATE] and b.through == Order(1, 8, 1) == b[3].order
    read, update, delete, truncate = b
    assert update.before_values == EMPTY and update.after_values == FULL and read.before is None
    assert delete.before["id"] == 2 and delete.after is None and delete.key == {"id": 2}
    assert truncate.key is None and truncate.after is None


def test_an_empty_batch_is_a_position():
    b = wide(Changes({"p": 1}, {"n": 1}).encode(Definitions()))
    assert len(b) == 0 and list(b) == [] and b.offset == {"n": 1}


def test_envelope():
    t = Table("t", [Column("id", Type.INT32, optional=False), Column("x", Type.JSON)], ["id"], schema="s", catalog="db", topic="p.s.t", envelope=True)
    b = wide(Changes({"p": 1}).snapshot(t, [(1, "{}")]).encode(Definitions()))
    s = b[0].stream
    assert [n for n, _ in s.value.fields] == ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"]
    assert s.value.name == "p.s.t.Envelope" and s.row.optional and s.row.fields[1][1].name == "io.debezium.data.Json" and s.key.name == "p.s.t.Key"
    assert len(s.source.fields) == len(s.source.schema.fields) and b[0]._r[11] == 3


def test_messages():
    value = Schema.struct("v", {"n": INT32(), "tags": Schema.array(STRING()), "m": Schema.map(STRING(), INT32(True), optional=True)})
    typed, loose = Topic("typed", STRING(), value), Topic("loose")
    c = Changes({"p": 1})
    c.message(typed, {"n": 1, "tags": ["a"], "m": {"x": None}}, key="k", headers={"h": "text", "b": b"\x00"}, timestamp=5)
    c.message(loose, {"a": [1, 2.5, None, True, b"x"]}).message(typed, None, key="gone")
    known, reader = Definitions(), Reader()
    b = wide(c.encode(known), reader)
    first, second, third = b
    assert first.value == first.after == {"n": 1, "tags": ["a"], "m": {"x": None}} and first.key == "k" and first.timestamp == 5
    assert first.headers == [("h", "text"), ("b", b"\x00")] and first.value_schema.kind == SchemaKind.STRUCT and first.op == Op.NONE
    assert second.value == {"a": [1, 2.5, None, True, b"x"]} and second.value_schema is None and second.key is None
    assert third.value is None and third.key == "gone"
    again = reader.decode(Changes({"p": 1}).message(typed, None, key="k").encode(known))
    assert again.streams[0] is b.streams[0], "definitions come once"


@pytest.mark.parametrize(
    "row, text",
    [
        ({"id": None}, "column id: row 0 is None, and the column is not optional"),
        ({"id": "1"}, "column id: row 0 is '1' (str), which is no INT64"),
        ({"id": 1 << 63}, "which is no INT64"),
        ({"id": 1, "int16": 32768}, "column int16: row 0 is 32768 (int), which is no INT16: out of range"),
        ({"id": 1, "bool": 1}, "True or False is expected"),
        ({"id": 1, "text": b"x"}, "column text"),
        ({"id": 1, "text": "\ud800"}, "column text"),
        ({"id": 1, "decimal": 0.1}, "a Decimal, an int or the text of one is expected"),
        ({"id": 1, "timestamp": dt.datetime.now(UTC)}, "it has a time zone; use TIMESTAMPTZ"),
        ({"id": 1, "timestamptz": dt.datetime(2026, 1, 1)}, "it has no time zone"),
        ({"id": 1, "list": ["x"]}, "column list"),
        ({"id": 1, "bits": "2"}, "a text of 0 and 1 is expected"),
        ({"id": 1, "float32": "x"}, "column float32"),
        ({"id": 1, "nope": 1}, "table public.all has no column 'nope'"),
        ({}, "the key column id has no value"),
        ((1, 2), "a row of 2 values, it has 22 columns"),
    ],
)
def test_what_does_not_fit_is_refused(row, text):
    c = Changes({"p": 1}).insert(ALL, [FULL])
    with pytest.raises((TypeError, ValueError)) as e:
        c.insert(ALL, [row])
    assert text in str(e.value) and "table public.all" in str(e.value)
    assert [r.after_values for r in wide(c.encode(Definitions()))] == [FULL], "the batch is what it was"


def test_messages_that_do_not_fit():
    t = Topic("t", None, Schema.struct("v", {"n": INT32()}))
    for value, text in (({"n": "x"}, "value.n is a str, its schema says INT32"), ({"x": 1}, "member 'x'"), ({}, "value.n is None"), ({"n": 1 << 40}, "more than 32 bits")):
        with pytest.raises((TypeError, OverflowError), match=text):
            Changes({"p": 1}).message(t, value)
    with pytest.raises(ValueError, match="no JSON object"):
        Changes("[]")
    with pytest.raises(ValueError, match="no string, number, boolean or null"):
        Changes({"a": {}})


def test_definitions_are_bounded(monkeypatch):
    monkeypatch.setattr("freshet_plugin.wire.KNOWN_BYTES", 2000)
    known, reader = Definitions(), Reader()
    for n in range(50):
        t = Table(f"t{n}", [Column("id", Type.INT32, optional=False)], ["id"])
        b = reader.decode(Changes({"p": 1}).insert(t, [(n,)]).encode(known))
        assert b[0].after == {"id": n} and known.bytes <= 2000


def test_columns():
    b = wide(written(FULL, EMPTY, (3, *FULL[1:])))
    c = b.columns()
    assert list(c) == ALL.names and c.rows == 3 and c.op.tolist() == [2, 2, 2] and c.index.tolist() == [0, 1, 2]
    for name, full in zip(ALL.names[1:], FULL[1:]):
        assert c[name].valid.tolist() == [True, False, True], name
        assert c[name].tolist() == [full, None, full], name
    assert c["id"].values.tolist() == [1, 2, 3] and c["int16"].values.dtype == np.int64 and c["uint64"].values[0] == (1 << 64) - 1
    assert c["float32"].values.dtype == np.float32 and c["bool"].values.tolist() == [True, False, True]
    assert c["date"].values[0] == np.datetime64("2026-02-28") and c["timestamptz"].values[0] == np.datetime64("9999-12-31T23:59:59.999999")
    text, offsets = c["text"].content()
    assert bytes(text[: offsets[1]]).decode() == FULL[8] and offsets.tolist() == [0, 12, 12, 24]
    assert b.columns(image="key")["id"].values.tolist() == [1, 2, 3]
    assert b.columns(image="before").rows == 0
    for column, value in (("date", Moment(Kind.DATE, MAX)), ("timestamp", Moment(Kind.TIMESTAMP, MIN))):
        with pytest.raises(ValueError, match=f"column {column} holds infinity"):
            wide(written({"id": 1, column: value})).columns()[column].values


def test_long_texts_in_columns():
    t = Table("t", [Column("id", Type.INT64, optional=False), Column("long", Type.TEXT), Column("short", Type.TEXT)], ["id"])
    rows = [(n, None if n % 7 == 3 else f"{n}|" * (n % 90), "ab"[: n % 3]) for n in range(200)]
    c = Changes({"p": 1})
    for row in rows:
        c.insert(t, [row])  # the bytes of a row lie together, those of a column do not
    columns = wide(c.encode(Definitions())).columns()
    for name, place in (("long", 1), ("short", 2)):
        want = [row[place] for row in rows]
        text, offsets = columns[name].content()
        assert bytes(text).decode() == "".join(x or "" for x in want) and offsets[-1] == len(text)
        assert columns[name].tolist() == want
    assert columns["long"].content()[0].dtype == np.uint8


def test_arrow():
    import pyarrow as pa

    a = wide(written(FULL, EMPTY)).arrow()
    a.validate(full=True)
    first, second = a.to_pylist()
    months, days, nanos = first.pop("interval")
    assert (months, days, nanos) == (1, -2, 3_000_000_000) and second.pop("interval") is None
    assert first.pop("timetz") == {"micros": 3723_000_000, "zone": -12600} and first.pop("point") == {"x": 1.5, "y": -2.0}
    assert first.pop("map") == [("k", "v"), ("n", None)]
    for name in ("bool", "int16", "int32", "uint64", "float32", "float64", "decimal", "text", "bytes", "date", "time", "timestamp", "timestamptz", "bits", "list", "lists"):
        assert first[name] == FULL[ALL.names.index(name)], name
    assert all(v is None for k, v in second.items() if k != "id")
    assert a.schema.field("decimal").type == pa.decimal128(12, 2) and a.schema.field("int16").type == pa.int16() and not a.schema.field("id").nullable
    for column, value in (("date", Moment(Kind.DATE, MAX)), ("time", Moment(Kind.TIME, -1)), ("decimal", Decimal("NaN")), ("decimal", Decimal("1.234"))):
        with pytest.raises(ValueError, match=f"column {column} "):
            wide(written({"id": 1, column: value})).arrow()


def test_columns_of_several_streams():
    other = Table("other", [Column("x", Type.TEXT)])
    b = wide(Changes({"p": 1}).insert(ALL, [FULL]).insert(other, [("a",), (None,), ("bc",)]).delete(ALL, [EMPTY]).encode(Definitions()))
    with pytest.raises(ValueError, match="2 streams"):
        b.columns()
    assert b.columns(b.streams[1])["x"].tolist() == ["a", None, "bc"] and b.columns(b.streams[1]).index.tolist() == [1, 2, 3]
    assert b.columns(b.streams[0]).rows == 1 and b.columns(b.streams[0], "before").rows == 1


def corpus():
    t = Topic("t", STRING(), Schema.struct("v", {"n": INT32(), "tags": Schema.array(STRING())}))
    e = Table("e", [Column("id", Type.INT32, optional=False), Column("x", Type.TEXT)], ["id"], envelope=True)
    plain = Table("p", [Column("id", Type.INT64), Column("d", Type.DECIMAL), Column("f", Type.FLOAT32), Column("b", Type.BITS), Column("z", Type.TIMETZ), Column("l", Type.LIST, elem=Column("", Type.INT32))])
    zone = dt.time(1, tzinfo=UTC)
    return [
        written(FULL, EMPTY),
        Changes({"p": 1}, {"n": 2}, order=3).insert(e, [(1, "x"), (2, None)]).delete(e, [(1, "x")]).encode(Definitions()),
        Changes({"p": 1}).message(t, {"n": 1, "tags": ["a"]}, key="k", headers={"h": "x"}).encode(Definitions()),
        Changes({"p": 1}).insert(plain, [(i, Decimal(i) / 7, i, "01", zone, [i, i]) for i in range(20)]).encode(Definitions()),
    ]


def test_garbage_is_refused_alike():
    """Whatever is changed in a message: it is read, or refused with a WireError, and both ways of checking agree."""
    rng = random.Random(1)
    outcomes = {True: 0, False: 0}
    for message in corpus():
        for _ in range(400):
            bad = bytearray(message)
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                at = rng.randrange(len(bad))
                bad[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256), bad[at] ^ 1 << rng.randrange(8)))
            if rng.random() < 0.1:
                del bad[rng.randrange(len(bad)) :]
            outcomes[agree(bytes(bad))] += 1
    assert outcomes[True] > 100 and outcomes[False] > 300, outcomes


def agree(message):
    try:
        b = Reader().decode(message)
    except WireError:
        b = None
    if b is None:
        sys_numpy = sys.modules.pop("numpy")
        try:
            Reader().decode(message)
        except WireError:
            return False
        finally:
            sys.modules["numpy"] = sys_numpy
        raise AssertionError("only one way of checking refuses it")
    cells = check.Cells(b._parts[1], b._parts[2], bytes(b._parts[3]))
    check.records(b._parts[0], b._needs, len(b._bodies), cells)
    for r in b:
        assert (r.key, r.before, r.after, r.value, r.headers) is not None
    for s in b.streams:
        for image in ("after", "before", "key"):
            for c in b.columns(s, image).values() if _uniform(b, s, image) else ():
                assert len(c.tolist()) == len(c)
    return True


def _uniform(b, s, image):
    try:
        list(b.columns(s, image).values())
    except ValueError:
        return False
    return True


def test_both_ways_of_checking_see_the_same_cells():
    """Cells alone, changed at random: the way with NumPy refuses what the other one refuses."""
    rng = random.Random(2)
    b = Reader().decode(corpus()[0])
    seen = {True: 0, False: 0}
    for _ in range(1500):
        parts = [bytearray(p) for p in b._parts]
        which = rng.choice((0, 1, 1, 1, 2, 3))
        if not parts[which]:
            continue
        at = rng.randrange(len(parts[which]))
        parts[which][at] = rng.choice((0, 1, 255, rng.randrange(24), parts[which][at] ^ 1 << rng.randrange(8)))
        views = [memoryview(bytes(p)) for p in parts]
        results = []
        for way in (lambda: check_batch(b._needs, 0, *views), lambda: check.records(views[0], b._needs, 0, check.Cells(views[1], views[2], bytes(views[3])))):
            try:
                way()
                results.append(None)
            except WireError as e:
                results.append(str(e))
        assert results[0] == results[1]
        seen[results[0] is None] += 1
    assert seen[True] > 50 and seen[False] > 500, seen


def test_after_an_error_a_reader_repeats_it():
    r = Reader()
    good = written(FULL)
    with pytest.raises(WireError, match="version 2"):
        r.decode(b"\x02" + good[1:])
    with pytest.raises(WireError, match="version 2"):
        r.decode(good)


def test_without_numpy():
    """Rows need nothing beyond the standard library."""
    code = "import sys; sys.modules['numpy'] = None; import freshet_plugin as f, freshet_plugin.wire as w\n"
    code += "t = f.Table('t', [f.Column('id', f.Type.INT32)]); m = f.Changes({'p': 1}).insert(t, [(1,), (None,)]).encode(w.Definitions())\n"
    code += "print([r.after for r in f.Reader().decode(m)])"
    out = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(Path(__file__).parents[1] / "src")}, capture_output=True, text=True, timeout=60)
    assert out.stdout == "[{'id': 1}, {'id': None}]\n", out.stderr
