"""The connectors of README.md are what they say."""

import re
from pathlib import Path

import pytest

import freshet_plugin
from freshet_plugin import Changes, Reader, Sink
from freshet_plugin.process import describe
from freshet_plugin.wire import Definitions

PAGE = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize("text", BLOCKS)
def test_examples(text, monkeypatch, tmp_path):
    served = []
    monkeypatch.setattr(freshet_plugin, "serve", lambda *classes: served.extend(classes))
    names = {}
    exec(text.replace("rows = [...]", "rows = [(self.at + 1, 0.5)]"), names)  # the reader's own sensor
    (connector,) = served
    assert describe(connector).doc.startswith(("Reads a sensor", "Prints changes"))
    task = connector.__new__(connector)
    if issubclass(connector, Sink):
        task.config = {"path": str(tmp_path / "out")}
        task.start()
        batch = Reader().decode(Changes({"p": 1}).insert(_table(), [(1, "x")]).encode(Definitions()))
        acked = []
        batch._ack = acked.append
        task.put(batch)
        task.stop()
        assert acked == [batch] and (tmp_path / "out").read_text() == "CREATE {'id': 1} {'id': 1, 'text': 'x'}\n"
        return
    task.partition, task.at = {"device": "d"}, 4
    batch = Reader().decode(task.poll().encode(Definitions()))
    assert batch.offset == {"at": 5} and batch[0].after == {"id": 5, "value": 0.5}


def test_there_are_examples():
    assert len(BLOCKS) == 2


def _table():
    return freshet_plugin.Table("t", [freshet_plugin.Column("id", freshet_plugin.Type.INT64, optional=False), freshet_plugin.Column("text", freshet_plugin.Type.TEXT)], ["id"])
