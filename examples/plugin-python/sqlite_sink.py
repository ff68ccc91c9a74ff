"""A sink that keeps a copy of tables in an SQLite file.

Exactly once: the position of the source is stored in the transaction that writes the rows, in the table freshet_offsets. Whoever takes
the positions over owns them; an earlier owner writes nothing more.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import sqlite3
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Dict, List, Optional, Sequence, Tuple

from freshet_plugin import UNAVAILABLE, Batch, ConfigDef, Fenced, Key, Kind, Op, Order, Permanent, Position, Record, Retriable, Sink, Table, Type, Values

CONFIG = ConfigDef(
    Key("path", required=True, importance="HIGH", doc="The SQLite file; it is made when it is not there."),
    Key("table.prefix", default="", doc="Goes before the names of tables."),
)

LEDGER = """CREATE TABLE IF NOT EXISTS freshet_offsets (connector TEXT, sink TEXT, partition TEXT, owner TEXT NOT NULL, "offset" TEXT NOT NULL DEFAULT '',
epoch INTEGER NOT NULL DEFAULT 0, major TEXT NOT NULL DEFAULT '0', minor INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (connector, sink, partition)) WITHOUT ROWID"""

_INTEGERS = (Type.BOOL, Type.INT16, Type.INT32, Type.INT64)
_AFFINITY = {**{t: "INTEGER" for t in _INTEGERS}, Type.FLOAT32: "REAL", Type.FLOAT64: "REAL", Type.BYTES: "BLOB"}


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def plain(v: Any) -> Any:
    """A value as SQLite keeps it. Raises ValueError for one that it would change."""
    if v is None or isinstance(v, (bytes, str, bool)):
        return v
    if isinstance(v, int):
        return v if -(1 << 63) <= v < 1 << 63 else str(v)
    if isinstance(v, float):
        if math.isnan(v):
            raise ValueError("NaN, which SQLite would store as NULL")
        return v
    if isinstance(v, (date, datetime, time)):
        return v.isoformat()
    if isinstance(v, (list, dict, tuple)) and not hasattr(v, "kind"):
        return json.dumps(v, default=str, ensure_ascii=False)
    return str(v) if not isinstance(v, Decimal) else format(v, "f") if v.is_finite() else str(v)


class SqliteSink(Sink):
    """Keeps a copy of tables in an SQLite file."""

    class_name = "io.freshet.examples.SqliteSink"
    aliases = ("SqliteSink",)
    version = "0.1.0"
    config_def = CONFIG

    @classmethod
    def connect(cls, config: Values) -> None:
        try:
            with contextlib.closing(sqlite3.connect(config["path"])) as db:
                db.execute("PRAGMA schema_version")
        except sqlite3.Error as e:
            raise Permanent(f"open SQLite file {config['path']}: {e}; check path") from None

    def start(self) -> None:
        self.tables: Dict[int, Tuple[Table, str]] = {}
        self.shared = self.settings.shared
        self.owner = secrets.token_hex(8)
        self.held = self.settings.claim
        try:
            # One thread at a time calls the sink, but not always the same one.
            self.db = sqlite3.connect(self.config["path"], isolation_level=None, timeout=30, check_same_thread=False)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=FULL")
            self.db.execute(LEDGER)
        except sqlite3.DatabaseError as e:
            raise self.failure("open SQLite file", e) from None

    def failure(self, doing: str, e: sqlite3.Error) -> Exception:
        text = f"{doing} {self.config['path']}: {e}"
        return Retriable(text) if isinstance(e, sqlite3.OperationalError) else Permanent(text)

    def stop(self) -> None:
        if hasattr(self, "db"):
            self.db.close()

    def claim(self) -> str:
        return getattr(self, "held", "")

    @property
    def here(self) -> Tuple[str, str]:
        return (self.settings.connector, self.settings.sink)

    # Positions.

    def progress(self, partitions: List[str]) -> List[Position]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            out = self.take_over(partitions)
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.held = self.owner
        return out

    def take_over(self, partitions: List[str]) -> List[Position]:
        if not self.shared:
            row = self.db.execute("SELECT owner FROM freshet_offsets WHERE connector=? AND sink=? AND partition=''", self.here).fetchone()
            if row is not None and self.held and row[0] not in (self.held, self.owner):
                raise Fenced(f"take over positions in {self.config['path']}: another task of connector {self.settings.connector} has done so since")
        names = list(partitions) + ([] if self.shared else [""])
        self.db.executemany(
            "INSERT INTO freshet_offsets (connector, sink, partition, owner) VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET owner=excluded.owner",
            [(*self.here, p, self.owner) for p in names],
        )
        if not partitions:
            self.db.execute("UPDATE freshet_offsets SET owner=? WHERE connector=? AND sink=?", (self.owner, *self.here))
        rows = self.db.execute(
            "SELECT partition, \"offset\", epoch, major, minor FROM freshet_offsets WHERE connector=? AND sink=? AND \"offset\"<>'' ORDER BY partition", self.here
        ).fetchall()
        return [Position(p, o, Order(epoch, int(major), minor)) for p, o, epoch, major, minor in rows if not partitions or p in partitions]

    def set_progress(self, positions: List[Position]) -> None:
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            for p in positions:
                if not p.offset:
                    self.db.execute("DELETE FROM freshet_offsets WHERE connector=? AND sink=? AND partition=?", (*self.here, p.partition))
                    continue
                self.db.execute(
                    "INSERT INTO freshet_offsets (connector, sink, partition, owner, \"offset\", epoch, major, minor) VALUES (?,?,?,?,?,?,?,?) "
                    "ON CONFLICT DO UPDATE SET \"offset\"=excluded.\"offset\", epoch=excluded.epoch, major=excluded.major, minor=excluded.minor",
                    (*self.here, p.partition, self.owner, p.offset, p.through.epoch, str(p.through.major), p.through.minor),
                )

    def own(self, partition: str) -> None:
        """Makes sure that the partition is ours, within the transaction."""
        row = self.db.execute("SELECT owner FROM freshet_offsets WHERE connector=? AND sink=? AND partition=?", (*self.here, partition)).fetchone()
        if row is None and not self.shared:
            row = self.db.execute("SELECT owner FROM freshet_offsets WHERE connector=? AND sink=? AND partition=''", self.here).fetchone()
            self.db.execute("INSERT INTO freshet_offsets (connector, sink, partition, owner) VALUES (?,?,?,?)", (*self.here, partition, self.owner))
        if row is None or row[0] != self.owner:
            raise Fenced(f"write to SQLite file {self.config['path']}: another task of connector {self.settings.connector} has taken over partition {partition}")

    def store(self, batch: Batch) -> None:
        t = batch.through
        self.db.execute(
            "UPDATE freshet_offsets SET \"offset\"=CASE WHEN ?1='' THEN \"offset\" ELSE ?1 END, epoch=?2, major=?3, minor=?4 WHERE connector=?5 AND sink=?6 AND partition=?7",
            (batch.offset_text, t.epoch, str(t.major), t.minor, *self.here, batch.partition_text),
        )
        for partition, offset in batch.extra:
            self.db.execute(
                "INSERT INTO freshet_offsets (connector, sink, partition, owner, \"offset\") VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET \"offset\"=excluded.\"offset\"",
                (*self.here, partition, self.owner, offset),
            )

    # Rows.

    def put(self, batch: Batch) -> None:
        rejected = False
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                self.own(batch.partition_text)
                for r in batch:
                    rejected |= not self.write(batch, r)
                self.store(batch)
                if rejected:
                    self.session.settle()
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                self.tables.clear()
                raise
        except sqlite3.Error as e:
            raise self.failure("write to SQLite file", e) from None
        batch.ack()

    def write(self, batch: Batch, r: Record) -> bool:
        """Writes a record; False: it was rejected and is tolerated."""
        try:
            self.apply(r)
        except (ValueError, UnicodeEncodeError, sqlite3.IntegrityError, sqlite3.InterfaceError) as e:
            batch.reject(r, Permanent(f"write a row of table {r.stream.name}: {e}"))
            return False
        return True

    def apply(self, r: Record) -> None:
        table = r.stream.table
        if table is None:
            raise ValueError(f"the record of topic {r.topic} is no row of a table")
        name = self.target(r)
        if r.op == Op.TRUNCATE:
            self.db.execute(f"DELETE FROM {name}")
        elif r.op == Op.DELETE:
            self.delete(name, table.key, self.key(r))
        elif r.op in (Op.READ, Op.CREATE, Op.UPDATE):
            self.upsert(name, table, r)

    def key(self, r: Record) -> List[Any]:
        if not r.key:
            raise ValueError("it has no key: a delete cannot say which row it means")
        return [plain(v) for v in r.key.values()]

    def delete(self, name: str, key: Sequence[str], values: List[Any]) -> None:
        self.db.execute(f"DELETE FROM {name} WHERE " + " AND ".join(f"{quote(k)}=?" for k in key), values)

    def upsert(self, name: str, table: Table, r: Record) -> None:
        after = r.after or {}
        if r.op == Op.UPDATE and r.before and table.key:
            old = [plain(r.before[k]) for k in table.key if k in r.before]
            if len(old) == len(table.key) and old != self.key(r):
                self.delete(name, table.key, old)  # the row got another key
        row = {k: plain(v) for k, v in after.items() if v is not UNAVAILABLE}
        for k in table.key:
            if row.get(k) is None:
                raise ValueError(f"its key column {k} has no value")  # in place of which SQLite would make one up
        columns = ", ".join(map(quote, row))
        sql = f"INSERT INTO {name} ({columns}) VALUES ({', '.join('?' * len(row))})"
        if table.key:
            changed = [c for c in row if c not in table.key]
            update = ", ".join(f"{quote(c)}=excluded.{quote(c)}" for c in changed)
            sql += f" ON CONFLICT ({', '.join(map(quote, table.key))}) DO " + (f"UPDATE SET {update}" if changed else "NOTHING")
        self.db.execute(sql, list(row.values()))

    def target(self, r: Record) -> str:
        """The table of a record's stream, which is made, or gets the columns that it lacks."""
        table = r.stream.table
        assert table is not None
        known: Optional[Tuple[Table, str]] = self.tables.get(id(table))
        if known is not None and known[0] is table:
            return known[1]
        name = quote(self.config["table.prefix"] + table.name)
        definitions = [f"{quote(c.name)} {_AFFINITY.get(c.type, 'BLOB' if c.type.kind == Kind.UINT else 'TEXT')}" for c in table.columns]
        if table.key:
            definitions.append(f"PRIMARY KEY ({', '.join(map(quote, table.key))})")
        self.db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(definitions)})")
        present = {row[1] for row in self.db.execute(f"PRAGMA table_info({name})")}
        for c, definition in zip(table.columns, definitions):
            if c.name not in present:
                self.db.execute(f"ALTER TABLE {name} ADD COLUMN {definition}")
        if len(self.tables) > 1000:
            self.tables.clear()
        self.tables[id(table)] = (table, name)
        return name
