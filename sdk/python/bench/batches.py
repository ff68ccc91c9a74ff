"""How many rows of ten columns a second, in CPU time of one process: batches to rows, to NumPy and Arrow columns, and rows to batches.

    batches.py          measures in this process
    batches.py start    CPU time of the start of a plugin, the least of ten
"""

import os
import sys
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from freshet_plugin import Changes, Column, Kind, Reader, Table, Type  # noqa: E402  # behind the path
from freshet_plugin.wire import Definitions  # noqa: E402  # likewise

TEN = Table(
    "ten",
    [
        Column("id", Type.INT64, optional=False),
        Column("customer", Type.INT32),
        Column("name", Type.TEXT),
        Column("email", Type.TEXT),
        Column("price", Type.DECIMAL, length=12, scale=2),
        Column("odds", Type.FLOAT64),
        Column("open", Type.BOOL),
        Column("at", Type.TIMESTAMPTZ),
        Column("day", Type.DATE),
        Column("note", Type.TEXT),
    ],
    ["id"],
    schema="public",
)
ROWS = 2000


def rows():
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    texts = "Comet of the Northern Hills", "somebody.somewhere@example.org", "a note that is a little longer than the other texts of the row are"
    return [
        (n, n % 1000, texts[0], texts[1], Decimal(f"{10000 + n}.67"), 1.5 * n, n % 2 == 0, at + timedelta(0, 0, n), date(2024, 10, 4), texts[2]) for n in range(ROWS)
    ]


def measure(what, once, seconds=2.0):
    once()
    n, begin = 0, time.process_time()
    while time.process_time() - begin < seconds:
        once()
        n += ROWS
    print(f"{what:34} {n / (time.process_time() - begin):10,.0f} rows/s")


def batches():
    list_of_rows, known, reader = rows(), Definitions(), Reader()
    reader.decode(Changes({"p": 1}).insert(TEN, list_of_rows).encode(known))  # the definitions
    each = Changes({"p": 1})
    for row in list_of_rows:
        each.insert(TEN, [row])  # the bytes of a row lie together, as a database's source makes them
    message = each.encode(known)
    measure("rows to a batch", lambda: Changes({"p": 1}).insert(TEN, list_of_rows).encode(known))
    measure("a batch to rows (dicts)", lambda: [r.after for r in reader.decode(message)])
    measure("a batch to rows (tuples)", lambda: [r.after_values for r in reader.decode(message)])
    import numpy  # noqa: F401  # from here on batches are checked as arrays
    import pyarrow  # noqa: F401  # its load is not measured

    def arrays():
        for c in reader.decode(message).columns().values():
            c.content() if c.kind in (Kind.TEXT, Kind.DECIMAL) else c.values

    measure("a batch to NumPy columns", arrays)
    measure("a batch to an Arrow record batch", lambda: reader.decode(message).arrow())


def start():
    from freshet_plugin.testing import Process

    plugin = Path(__file__).resolve().parents[1] / "tests" / "plugins" / "lists.py"
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src")}
    cpu, wall = [], []
    for _ in range(10):
        before, begin = os.times(), time.monotonic()
        p = Process([sys.executable, str(plugin)], environment)
        wall.append(time.monotonic() - begin)
        p.shutdown()
        p.close()
        after = os.times()
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    print(f"start and end of a plugin: {min(cpu) * 1000:.0f} ms of CPU; until the handshake: {min(wall) * 1000:.0f} ms")


if __name__ == "__main__":
    start() if sys.argv[1:] == ["start"] else batches()
