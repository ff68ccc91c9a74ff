"""The plugin that the tests start: a source of numbers, and a sink that appends what it gets to a file."""

import json
import os

from freshet_plugin import (
    Changes,
    Column,
    ConfigDef,
    EndOfData,
    Fenced,
    Key,
    KeyType,
    Permanent,
    Raw,
    RequestError,
    Sink,
    Source,
    Stopped,
    Table,
    Type,
    serve,
)

NUMBERS = Table("numbers", [Column("n", Type.INT64, optional=False), Column("text", Type.TEXT)], key=["n"])
PARTITION = {"numbers": "all"}


class Numbers(Source):
    """Numbers from 1 on."""

    class_name = "test.Numbers"
    aliases = ("Numbers",)
    version = "1.2"
    config_def = ConfigDef(
        Key("last", KeyType.LONG, default=10, doc="Where it ends; 0: never."),
        Key("size", KeyType.INT, default=3, doc="Rows of a batch.", check=lambda n: None if n > 0 else "A positive number is expected"),
        Key("fault", recommended=("", "permanent", "bug", "hang", "exit", "print", "state", "tolerate", "wide"), closed=True, default=""),
        Key("secret", KeyType.PASSWORD),
    )

    @classmethod
    def validate(cls, config):
        return {"size": "It is larger than last"} if config["last"] and config["size"] > config["last"] else None

    @classmethod
    def connect(cls, config):
        if config["secret"] == "wrong":
            raise Permanent("log in: the password is not right; check secret")

    @classmethod
    def tasks(cls, config, most):
        return [dict(config.text)] * most

    def start(self):
        at = self.session.offset(PARTITION)
        self.at = at["n"] if at else 0
        self.log.info("starting", extra={"at": self.at})
        if self.config["fault"] == "print":
            print("printed")
            os.system("echo echoed")

    def poll(self):
        fault = self.config["fault"]
        if fault == "permanent":
            raise Permanent("read the numbers: there are none")
        if fault == "bug":
            return self.missing
        if fault == "hang":
            self.wait(1e6)
            raise Stopped("stopped")
        if fault == "exit":
            os._exit(3)
        if fault == "state":
            self.session.remember({"freshet": "x"}, {"seen": 1})
            self.log.warning("state %s", self.session.state({"freshet": "x"}))
        if fault == "tolerate" and self.at == 0:
            self.session.tolerate(Raw(topic="t", offset=7, value=b"?"), ValueError("it cannot be read"))
        if self.config["last"] and self.at >= self.config["last"]:
            raise EndOfData
        first = self.at + 1
        self.at = min(self.at + self.config["size"], self.config["last"] or 1 << 60)
        rows = [{"n": n, "text": "x" * 100 if fault == "wide" else str(n)} for n in range(first, self.at + 1)]
        return self.batch(PARTITION, {"n": self.at}, order=first).insert(NUMBERS, rows)

    def commit(self, offsets):
        self.log.info("committed %s", json.dumps(offsets))


class Queue(Numbers):
    """Numbers that whoever sends them counts."""

    class_name = "test.Queue"
    aliases = ()
    own_offsets = True


class Counted(Queue):
    """Numbers that are counted in a file, for each connector."""

    class_name = "test.Counted"
    config_def = ConfigDef(*Numbers.config_def.keys, Key("counter"))

    @classmethod
    def get_offsets(cls, config, settings):
        try:
            with open(config["counter"]) as f:
                return [({"numbers": settings.connector}, json.load(f))]
        except FileNotFoundError:
            return []

    @classmethod
    def set_offsets(cls, config, settings, entries):
        for partition, offset in [({"numbers": settings.connector}, None)] if entries is None else entries:
            if partition != {"numbers": settings.connector}:
                raise RequestError(f"there are no numbers of {partition['numbers']}")
            if offset is None:
                os.remove(config["counter"])
                continue
            with open(config["counter"], "w") as f:
                json.dump(offset, f)


class Lines(Sink):
    """Appends rows to a file of JSON lines."""

    class_name = "test.Lines"
    config_def = ConfigDef(Key("path", required=True), Key("fault", default=""), Key("hold", KeyType.BOOLEAN, default=False))

    def start(self):
        self.file = open(self.config["path"], "a")
        self.held = []

    def put(self, batch):
        fault = self.config["fault"]
        for r in batch:
            if fault == "reject" and r.after and r.after["n"] % 2:
                batch.reject(r, ValueError(f"{r.after['n']} is odd"))
                continue
            self.file.write(json.dumps([r.op.letter, r.key, r.after, r.order.major]) + "\n")
        if fault == "fenced" and len(batch):
            raise Fenced("write lines: somebody else does")
        if fault == "slow":
            while not self.wait(0.01):
                pass
        if self.config["hold"]:
            self.session.charge(batch.size)
            self.held.append(batch)
            return
        self.file.flush()
        batch.ack()

    def flush(self):
        if self.config["fault"] == "flush":
            raise OSError("the disk is full")
        self.file.flush()
        self.session.charge(-sum(b.size for b in self.held))
        self.held = []

    def stop(self):
        if hasattr(self, "file"):
            self.file.close()


if __name__ == "__main__":
    serve(Numbers, Queue, Counted, Lines)
