"""The connectors that the tests run: a source of the lines of a file, and the connectors of examples/plugin-python."""

import json
import os
import sys
from pathlib import Path

from freshet_plugin import Column, ConfigDef, EndOfData, Key, KeyType, Kind, RequestError, Sink, Source, Table, Type, serve
from mqtt_source import MqttSource
from sqlite_sink import SqliteSink


class Lines(Source):
    """Numbers, one on each line of a file."""

    class_name = "test.Lines"
    config_def = ConfigDef(Key("file", required=True), Key("size", KeyType.INT, default=4), Key("end", KeyType.BOOLEAN, default=False))

    def start(self):
        self.table = Table("numbers", [Column("n", Type.INT64, optional=False), Column("text", Type.TEXT)], ["n"])
        self.partition = {"file": self.config["file"]}
        stored = self.session.offset(self.partition)
        self.line, self.at = (stored["line"], stored["at"]) if stored else (0, 0)

    def poll(self):
        try:
            with open(self.config["file"], "rb") as f:
                f.seek(self.at)
                lines = [x for x in f.read(1 << 16).splitlines(keepends=True) if x.endswith(b"\n")][: self.config["size"]]
        except FileNotFoundError:
            return None
        if not lines:
            if self.config["end"]:
                raise EndOfData
            return None
        first = self.line + 1
        self.line += len(lines)
        self.at += sum(map(len, lines))
        rows = [(int(x), x.decode().strip()) for x in lines]
        return self.batch(self.partition, {"line": self.line, "at": self.at}, order=first).insert(self.table, rows)


class Consumed(Lines):
    """Lines of a file, beside which lies how far they were read: a system that keeps offsets."""

    class_name = "test.Consumed"
    own_offsets = True

    def start(self):
        super().start()
        found = self.get_offsets(self.config, self.settings)
        self.line, self.at = (found[0][1]["line"], found[0][1]["at"]) if found else (0, 0)
        self.committed = self.line

    def commit(self, offsets):
        for partition, offset in offsets:
            if offset["line"] > self.committed:
                self.set_offsets(self.config, self.settings, [(partition, offset)])
                self.committed = offset["line"]

    @classmethod
    def get_offsets(cls, config, settings):
        try:
            return [({"file": config["file"]}, json.loads(Path(config["file"] + ".offset").read_text()))]
        except FileNotFoundError:
            return []

    @classmethod
    def set_offsets(cls, config, settings, entries):
        kept = Path(config["file"] + ".offset")
        for partition, offset in [({"file": config["file"]}, None)] if entries is None else entries:
            if partition != {"file": config["file"]}:
                raise RequestError(f"the connector does not read {partition}")
            if offset is None:
                kept.unlink(missing_ok=True)
                continue
            new = Path(str(kept) + ".new")
            new.write_text(json.dumps(offset))
            new.replace(kept)


class Numbers(Sink):
    """Appends the member n of rows to a file."""

    class_name = "test.Numbers"
    config_def = ConfigDef(Key("file", required=True), Key("columns", KeyType.BOOLEAN, default=False))

    def start(self):
        self.out = open(self.config["file"], "a")
        self.held = []

    def put(self, batch):
        if self.config["columns"]:
            numbers = [n for s in batch.streams for n in batch.columns(s)["n"].values.tolist()]
        else:
            numbers = [r.after["n"] for r in batch.rows() if r.after is not None]
        self.out.writelines(f"{n}\n" for n in numbers)
        self.held.append(batch)
        if len(self.held) == 3:
            self.flush()

    def flush(self):
        self.out.flush()
        os.fsync(self.out.fileno())
        for b in self.held:
            b.ack()
        self.held = []

    def stop(self):
        if hasattr(self, "out"):
            self.out.close()


class Ten(Source):
    """Batches of the rows of sdk/python/bench, without end."""

    class_name = "test.Ten"
    config_def = ConfigDef()

    def start(self):
        sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "sdk/python/bench"))
        import batches

        self.table, self.rows, self.at = batches.TEN, batches.rows(), 0

    def poll(self):
        first, self.at = self.at + 1, self.at + len(self.rows)
        return self.batch({"p": 1}, {"at": self.at}, order=first).insert(self.table, self.rows)


class Discard(Sink):
    """Looks at every value and forgets it."""

    class_name = "test.Discard"
    config_def = ConfigDef(Key("as", required=True))

    def put(self, batch):
        if self.config["as"] == "rows":
            for r in batch.rows():
                r.after
        elif self.config["as"] == "arrow":
            batch.arrow()
        else:
            for c in batch.columns().values():
                c.content() if c.kind in (Kind.TEXT, Kind.DECIMAL) else c.values
        batch.ack()


if __name__ == "__main__":
    if "columns" in sys.argv:
        import numpy  # noqa: F401  # batches are then checked as arrays
    serve(Lines, Consumed, Ten, Numbers, Discard, MqttSource, SqliteSink)
