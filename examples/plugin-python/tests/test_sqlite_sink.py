"""The SQLite sink."""

import datetime as dt
import sqlite3
from decimal import Decimal

import pytest

from freshet_plugin import UNAVAILABLE, Changes, Column, Fenced, Permanent, Position, Order, Table, Topic, Type

CLASS = "io.freshet.examples.SqliteSink"
P = '{"p":1}'
BETS = Table("bets", [Column("id", Type.INT32, optional=False), Column("horse", Type.TEXT), Column("stake", Type.DECIMAL), Column("at", Type.TIMESTAMP)], ["id"])


def at(n):
    return Changes({"p": 1}, {"n": n}, order=n)


def rows(path, sql="SELECT id, horse, stake FROM bets ORDER BY id"):
    with sqlite3.connect(path) as db:
        return db.execute(sql).fetchall()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "copy.db")


def test_rows(worker, path):
    with worker.sink(CLASS, {"path": path}) as s:
        assert s.progress() == []
        s.put(at(1).insert(BETS, [(1, "Comet", Decimal("1.50"), dt.datetime(2026, 1, 2)), (2, None, None, None)]))
        s.put(at(3).update(BETS, [(1, "Comet II", UNAVAILABLE, UNAVAILABLE)]))
        s.put(at(4).update(BETS, [(3, "Halley", 7, None)], before=[(2, None, None, None)]))
        s.put(Changes({"p": 1}, {"n": 4}))
        s.flush()
        assert s.acked == [1, 2, 3, 4]
        assert rows(path) == [(1, "Comet II", "1.50"), (3, "Halley", "7")]
        assert rows(path, "SELECT at FROM bets WHERE id=1") == [("2026-01-02T00:00:00",)]
        s.put(at(5).delete(BETS, [(3, None, None, None)]))
        s.flush()
        assert rows(path) == [(1, "Comet II", "1.50")]
        s.put(at(6).truncate(BETS))
        s.flush()
        assert rows(path) == []


def test_a_column_that_is_new(worker, path):
    with worker.sink(CLASS, {"path": path, "table.prefix": "x_"}) as s:
        s.progress()
        s.put(at(1).insert(BETS, [(1, "a", None, None)]))
        wider = Table("bets", [*BETS.columns, Column("note", Type.JSON)], ["id"])
        s.put(at(2).insert(wider, [(2, "b", None, None, "{}")]))
        s.flush()
    assert rows(path, "SELECT id, note FROM x_bets ORDER BY id") == [(1, None), (2, "{}")]


def test_positions_are_stored_with_the_rows(worker, path):
    with worker.sink(CLASS, {"path": path}) as s:
        s.progress()
        s.put(at(1).insert(BETS, [(1, "a", None, None)]))
        s.put(at(2).insert(BETS, [(2, "b", None, None)]))
        s.flush()
        assert s.progress() == [Position(P, '{"n":2}', Order(1, 2, 1))]
        claim = s.claim
        assert claim
    with worker.sink(CLASS, {"path": path}, claim=claim) as s:
        assert s.progress(P) == [Position(P, '{"n":2}', Order(1, 2, 1))] and s.progress('{"p":2}') == []
        for position in (Position(P, '{"n":1}', Order(1, 1, 1)), Position(P, "", Order())):
            s.set_progress([position])
            assert s.progress() == ([position] if position.offset else [])


def test_an_earlier_owner_writes_nothing_more(worker, path):
    with worker.sink(CLASS, {"path": path}) as old:
        old.progress()
        old.put(at(1).insert(BETS, [(1, "a", None, None)]))
        old.flush()
        with worker.sink(CLASS, {"path": path}) as new:
            new.progress()
            old.put(at(2).insert(BETS, [(2, "stale", None, None)]))
            with pytest.raises(Fenced, match="has taken over partition"):
                old.flush()
            new.put(at(2).insert(BETS, [(2, "b", None, None)]))
            new.flush()
            assert rows(path) == [(1, "a", None), (2, "b", None)]
        with worker.sink(CLASS, {"path": path}, claim=old.claim) as again:
            with pytest.raises(Fenced, match="has done so since"):
                again.progress()


def test_rejected_rows(worker, path):
    t = Table("t", [Column("id", Type.INT32, optional=False), Column("x", Type.FLOAT64)], ["id"])
    with worker.sink(CLASS, {"path": path}) as s:
        s.progress()
        s.put(at(1).insert(t, [(1, 0.5), (2, float("nan")), (3, 1.5)]).message(Topic("loose"), {"a": 1}))
        s.flush()
        assert [x[:2] for x in s.rejected] == [(1, 1), (1, 3)] and "NaN" in s.rejected[0][2] and "no row of a table" in s.rejected[1][2]
        assert rows(path, "SELECT * FROM t") == [(1, 0.5), (3, 1.5)]
        s.refuse = Permanent
        s.put(at(5).insert(t, [(4, 1.0), (5, float("nan"))]))
        with pytest.raises(Exception, match="NaN"):
            s.flush()
        assert rows(path, "SELECT count(*) FROM t") == [(2,)] and s.acked == [1], "the transaction left nothing"


def test_no_file(worker, tmp_path):
    wrong = worker.validate(CLASS, {"path": str(tmp_path / "none" / "x.db")}, sink=True)
    assert "unable to open database file" in wrong["path"][0]
