"""A plugin in a process of its own, as a worker uses it."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest
from lists import NUMBERS

from freshet_plugin import Changes, Fenced, Permanent, Retriable, Source, WireError
from freshet_plugin.pb import plugin_pb2 as pb
from freshet_plugin.process import COOKIE, Service
from freshet_plugin.testing import Process, Worker
from freshet_plugin.wire import Definitions

HERE = Path(__file__).parent
SOURCES = str(HERE.parent / "src")
PLUGIN = [sys.executable, str(HERE / "plugins" / "lists.py")]

@pytest.fixture
def worker():
    with Worker(PLUGIN, {"PYTHONPATH": SOURCES}) as w:
        yield w


def numbers(records):
    return [r.after["n"] for r in records]


def test_handshake(worker):
    p = worker.process()
    try:
        core, app, network, path, protocol, certificate = p.handshake.rstrip("\n").split("|")
        assert (core, app, network, protocol, certificate) == ("1", "1", "unix", "grpc", "")
        assert Path(path).is_socket()
        assert p.healthy()
        assert p.shutdown() == 0
    finally:
        p.close()


def test_it_ends_with_the_worker(worker):
    p = worker.process()
    try:
        p.child.stdin.close()
        assert p.child.wait(60) == 0
    finally:
        p.close()


@pytest.mark.parametrize(
    "environment, text",
    [
        ({}, "is a plugin of Freshet"),
        ({COOKIE[0]: COOKIE[1], "PLUGIN_PROTOCOL_VERSIONS": "7,9"}, "speaks version 1 of the protocol"),
        ({COOKIE[0]: COOKIE[1], "PLUGIN_CLIENT_CERT": "x"}, '"transport": "socket"'),
    ],
)
def test_who_starts_it_wrongly_is_told(environment, text):
    r = subprocess.run(PLUGIN, env={"PYTHONPATH": SOURCES, **environment}, capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and text in r.stderr and not r.stdout


def test_describe(worker):
    source, own, counted, sink = worker.describe()
    assert getattr(source, "class") == "test.Numbers" and list(source.aliases) == ["Numbers"] and source.source and not source.sink
    assert (source.version, source.doc, source.checks_keys, sink.keeper) == ("1.2", "Numbers from 1 on.", True, False)
    keys = {k.name: k for k in source.keys}
    assert keys["last"].default == "10" and keys["last"].type == "LONG" and keys["secret"].type == "PASSWORD" and not keys["secret"].has_default
    assert (source.own_offsets, source.resumes, own.own_offsets, own.resumes, own.owns_offsets) == (False, False, True, True, False)
    assert (counted.own_offsets, counted.owns_offsets, source.owns_offsets) == (True, True, False)
    assert sink.sink and [k.required for k in sink.keys] == [True, False, False]


def test_validate(worker):
    def wrong(config, **more):
        return worker.validate("test.Numbers", config, **more)

    assert wrong({}) == {}
    assert wrong({"last": "x", "size": "-1", "fault": "none"}) == {
        "last": ["The 'last' value is invalid: An integer is expected"],
        "size": ["The 'size' value is invalid: A positive number is expected"],
        "fault": ["The 'fault' value is invalid: Value must be one of , permanent, bug, hang, exit, print, state, tolerate, wide"],
    }
    assert wrong({"size": "20"}) == {"size": ["The 'size' value is invalid: It is larger than last"]}
    assert wrong({"secret": "wrong"}) == {"secret": ["log in: the password is not right; check secret"]}
    assert wrong({"secret": "wrong"}, connect=False) == {}
    assert worker.validate("test.Lines", {}, sink=True) == {"path": ["The 'path' value is invalid: A value is required"]}


def test_tasks(worker):
    p = worker.process()
    try:
        request = pb.TasksRequest(config={"size": "2"}, max=3)
        setattr(request, "class", "test.Numbers")
        assert [dict(t.config) for t in p.call("Tasks", request).tasks] == [{"size": "2"}] * 3
        assert not p.call("Tasks", request).no_positions
        setattr(request, "class", "test.Queue")
        assert p.call("Tasks", request).no_positions
        setattr(request, "class", "test.Numbers")
        request.config["size"] = "0"
        assert getattr(p.call("Tasks", request).error, "class") == pb.PERMANENT
        setattr(request, "class", "test.Other")
        with pytest.raises(grpc.RpcError) as e:
            p.call("Tasks", request)
        assert e.value.code() == grpc.StatusCode.NOT_FOUND
    finally:
        p.close()


def test_offsets_of_the_source_s_own(worker, tmp_path):
    p = worker.process()

    def call(name, of="test.Counted", config={"counter": str(tmp_path / "counter")}, **more):
        request = pb.OffsetsRequest(config=config, settings=pb.Settings(connector="c"), **more)
        setattr(request, "class", of)
        r = p.call(name, request)
        return [(e.partition, e.offset) for e in r.entries] if not r.HasField("error") else r.error

    def entry(partition, offset):
        return [pb.Entry(partition=partition, offset=offset)]

    try:
        assert call("GetOffsets") == []
        assert call("SetOffsets", entries=entry('{ "numbers": "c" }', '{"n":4.0}')) == [('{"numbers":"c"}', '{"n":4.0}')]
        assert call("GetOffsets") == [('{"numbers":"c"}', '{"n":4.0}')]
        assert call("SetOffsets", entries=entry('{"numbers":"c"}', "")) == [('{"numbers":"c"}', "")] and call("GetOffsets") == []
        call("SetOffsets", entries=entry('{"numbers":"c"}', '{"n":5}'))
        for entries, text in (
            (entry('{"numbers":{}}', '{"n":1}'), "member numbers is no string"),
            (entry('{"numbers":"c"}', "7"), "offset '7' is no JSON object"),
            (entry('{"numbers":"other"}', '{"n":1}'), "no numbers of other"),
        ):
            error = call("SetOffsets", entries=entries)
            assert error.request and text in error.text
        assert call("GetOffsets") == [('{"numbers":"c"}', '{"n":5}')], "nothing was changed"
        assert call("SetOffsets", all=True) == [] and call("GetOffsets") == []
        assert getattr(call("GetOffsets", config={"size": "x"}), "class") == pb.PERMANENT
        with pytest.raises(grpc.RpcError) as e:
            call("GetOffsets", of="test.Queue")
        assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED
    finally:
        p.close()


def test_offsets_are_owned_as_a_whole():
    class Half(Source):
        own_offsets = True

        @classmethod
        def get_offsets(cls, config, settings):
            return []

    class Stored(Half):
        own_offsets = False

        @classmethod
        def set_offsets(cls, config, settings, entries):
            pass

    for c in (Half, Stored):
        with pytest.raises(TypeError, match=f"{c.__name__} has get_offsets, which needs set_offsets and own_offsets = True"):
            Service([c])


def test_source_reads_to_its_end_and_resumes(worker):
    with worker.source("test.Numbers", {}) as s:
        got = s.take(4)
        assert numbers(got) == [1, 2, 3, 4, 5, 6]
        assert [r.order.major for r in got] == numbers(got) and got[3].key == {"n": 4} and got[3].op.letter == "c"
        s.commit()
        offsets = s.offsets
        assert offsets == {'{"numbers":"all"}': '{"n":6}'}
        s.process.logs('committed [[{"numbers": "all"}, {"n": 6}]]')
    with worker.source("test.Numbers", {}, offsets) as s:
        assert numbers(s.take(10)) == [7, 8, 9, 10]
        assert s.poll() is None


def test_source_sends_no_further_than_it_may(worker):
    with worker.source("test.Numbers", {"last": "0", "size": "1000", "fault": "wide"}) as s:
        first = [next(s.stream) for _ in range(2)]
        third = s.stream  # nothing comes until something is taken
        got = []
        t = threading.Thread(target=lambda: got.append(next(third)), daemon=True)
        t.start()
        t.join(0.5)
        assert not got and all(o.batch for o in first)
        s._taken.put(pb.Taken())
        t.join(60)
        assert got[0].batch


def test_source_is_stopped_while_it_waits(worker):
    with worker.source("test.Numbers", {"fault": "hang"}) as s:
        s.process.healthy()
    with worker.source("test.Numbers", {"last": "0"}) as s:
        s.take(5)  # and then has more to send than it may


def test_errors_of_a_source(worker):
    for fault, cls, text in (("permanent", Permanent, "read the numbers: there are none"), ("bug", Retriable, "AttributeError: 'Numbers' object has no attribute 'missing'")):
        with worker.source("test.Numbers", {"fault": fault}) as s:
            with pytest.raises(cls, match=text):
                s.poll()
    with pytest.raises(Permanent, match="An integer is expected"):
        worker.source("test.Numbers", {"last": "x"})


def test_a_process_that_dies_breaks_the_stream(worker):
    s = worker.source("test.Numbers", {"fault": "exit"})
    try:
        with pytest.raises(grpc.RpcError):
            s.poll()
        assert s.process.child.wait(60) == 3
    finally:
        s.close()


def test_what_it_prints_is_log(worker):
    with worker.source("test.Numbers", {"fault": "print"}) as s:
        s.take(1)
        s.stop()
        s.process.close()
        lines = [json.loads(line) for line in s.process.log if line.startswith("{")]
    assert {"level": "INFO", "msg": "starting", "logger": "__main__", "at": 0} in lines
    assert {"level": "INFO", "msg": "printed", "logger": "stdout"} in lines
    assert "echoed\n" in s.process.log


def test_state_and_tolerance(worker):
    with worker.source("test.Numbers", {"fault": "state"}) as s:
        s.take(1)
        assert s.remembered == {'{"freshet":"x"}': '{"seen":1}'}
    with worker.source("test.Numbers", {"fault": "tolerate"}) as s:
        s.take(1)
        assert s.rejected == [(0, 7, "ValueError: it cannot be read")] and s.letters[0].value == b"?"


def batch(*numbers_, offset=None):
    return Changes({"p": 1}, offset or {"n": numbers_[-1] if numbers_ else 0}, order=numbers_[0] if numbers_ else None).insert(
        NUMBERS, [(n, str(n)) for n in numbers_]
    )


def lines(path):
    return [json.loads(line)[2]["n"] for line in path.read_text().splitlines()]


def test_sink(worker, tmp_path):
    path = tmp_path / "out"
    with worker.sink("test.Lines", {"path": str(path)}) as s:
        ids = [s.put(batch(1, 2, 3)), s.put(batch()), s.put(batch(4))]
        s.flush()
        assert s.acked == ids and lines(path) == [1, 2, 3, 4]
        s.until(lambda: s.released == ids)
        assert s.taken > 0
    assert json.loads(path.read_text().splitlines()[0]) == ["c", {"n": 1}, {"n": 1, "text": "1"}, 1]


def test_flush_acknowledges_what_was_held(worker, tmp_path):
    with worker.sink("test.Lines", {"path": str(tmp_path / "out"), "hold": "true"}) as s:
        ids = [s.put(batch(1)), s.put(batch(2))]
        s.until(lambda: s.taken > 0 and s.charged > 0)
        assert s.acked == []
        s.flush()
        assert s.acked == ids
        s.until(lambda: s.charged == 0)


def test_rejected_records(worker, tmp_path):
    path = tmp_path / "out"
    with worker.sink("test.Lines", {"path": str(path), "fault": "reject"}) as s:
        s.put(batch(1, 2, 3))
        s.flush()
        assert s.rejected == [(1, 0, "ValueError: 1 is odd"), (1, 2, "ValueError: 3 is odd")] and lines(path) == [2]
        s.refuse = Retriable
        s.put(batch(5))
        with pytest.raises(Retriable, match="5 is odd"):
            s.flush()
        assert s.acked == [1]


def test_errors_of_a_sink(worker, tmp_path):
    config = {"path": str(tmp_path / "out")}
    with worker.sink("test.Lines", {**config, "fault": "fenced"}) as s:
        s.put(batch(1))
        with pytest.raises(Fenced, match="somebody else"):
            s.flush()
        assert s.acked == []
    with worker.sink("test.Lines", {**config, "fault": "flush"}) as s:
        with pytest.raises(Retriable, match="the disk is full"):
            s.flush()
    with pytest.raises(Retriable, match="No such file or directory"):
        worker.sink("test.Lines", {"path": str(tmp_path / "none" / "out")})


def test_a_sink_is_stopped_while_it_puts(worker, tmp_path):
    with worker.sink("test.Lines", {"path": str(tmp_path / "out"), "fault": "slow"}) as s:
        s.put(batch(1))
        s.process.healthy()


def test_stop_without_a_deadline(worker, tmp_path):
    for s in (worker.sink("test.Lines", {"path": str(tmp_path / "out")}), worker.source("test.Numbers", {})):
        with s:
            assert not s.process._methods["Stop"](pb.StopRequest()).HasField("error")


def test_garbage_is_an_error_of_the_sink(worker, tmp_path):
    message = batch(1).encode(Definitions(), 1)
    for bad in (b"", message[:-1], b"\x02" + message[1:], message[:24] + bytes(8) + message[32:]):
        with worker.sink("test.Lines", {"path": str(tmp_path / "out")}) as s:
            s.send(bad)
            with pytest.raises(Permanent, match="decode batch: "):
                s.flush()
    assert not (tmp_path / "out").read_text()


def test_calls_out_of_order(worker):
    p = worker.process()
    try:
        for name, request in (("Start", pb.StartRequest()), ("Stop", pb.StopRequest()), ("Commit", pb.CommitRequest()), ("Progress", pb.ProgressRequest())):
            with pytest.raises(grpc.RpcError) as e:
                p.call(name, request)
            assert e.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    finally:
        p.close()


def test_signals_of_a_terminal_are_not_for_it(worker):
    p = worker.process()
    try:
        os.kill(p.child.pid, signal.SIGINT)
        assert p.healthy()
    finally:
        p.close()


def test_start_is_quick():
    """The budget is 300 ms of wall clock; CPU time says the same on a loaded machine."""
    best = 1e9
    for _ in range(5):
        before = os.times()
        p = Process(PLUGIN, {"PYTHONPATH": SOURCES})
        p.shutdown()
        p.close()
        after = os.times()
        best = min(best, after.children_user + after.children_system - before.children_user - before.children_system)
    assert best < 0.6, f"a start and an end take {best:.3f} s of CPU"


def test_nothing_heavy_is_imported():
    code = "import sys, freshet_plugin; print([m for m in ('numpy', 'pyarrow', 'asyncio', 'unittest') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": SOURCES}, capture_output=True, text=True, timeout=60)
    assert "numpy" not in out.stdout and "pyarrow" not in out.stdout, out.stdout + out.stderr


def test_a_message_is_no_batch():
    with pytest.raises(WireError):
        from freshet_plugin import Reader

        Reader().decode(b"\x01" * 24)
