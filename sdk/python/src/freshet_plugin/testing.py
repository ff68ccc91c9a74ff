"""What a worker is to a plugin, for its tests: no Freshet is needed.

    with Worker([sys.executable, "plugin.py"]) as w:
        with w.source("com.example.MySource", {"topic": "x"}) as s:
            batch = s.poll()
        with w.sink("com.example.MySink", {"path": "x.db"}) as s:
            s.put(Changes({"p": 1}, {"n": 2}).insert(TABLE, rows))
            s.flush()

Each source and sink is a task in a process of its own.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

import grpc

from .batch import Batch, Reader
from .builder import Changes
from .connector import Position
from .errors import PluginError
from .offsets import canonical, offset_text
from .pb import plugin_pb2 as pb
from .process import COOKIE, PROTOCOL
from .schemas import Order
from .session import from_error, to_error
from .wire import Definitions

PATIENCE = 60.0  # seconds for anything that is waited for


class Process:
    """A running plugin and its calls: `process.call("Describe", DescribeRequest())`."""

    def __init__(self, command: Sequence[str], environment: Optional[Mapping[str, str]] = None) -> None:
        self._folder = tempfile.mkdtemp(prefix="freshet")
        os.chmod(self._folder, 0o700)
        env = {COOKIE[0]: COOKIE[1], "PLUGIN_PROTOCOL_VERSIONS": str(PROTOCOL), "PLUGIN_UNIX_SOCKET_DIR": self._folder, **(environment or {})}
        self.log: List[str] = []
        self._grown = threading.Condition()
        self.child = subprocess.Popen(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self.child.stdout is not None
        self.handshake = self.child.stdout.readline()
        parts = self.handshake.strip().split("|")
        if len(parts) < 5:
            self.close()
            raise RuntimeError(f"the plugin printed no handshake: {self.handshake!r}; its log: {''.join(self.log)}")
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel("unix:" + parts[3], options=options)
        self._methods: Dict[str, Any] = {}
        for m in pb.DESCRIPTOR.services_by_name["Connector"].methods:
            make = self.channel.stream_stream if m.client_streaming else self.channel.unary_unary
            name = f"/freshet.plugin.v1.Connector/{m.name}"
            self._methods[m.name] = make(name, getattr(pb, m.input_type.name).SerializeToString, getattr(pb, m.output_type.name).FromString)

    def _read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            with self._grown:
                self.log.append(line)
                self._grown.notify_all()

    def call(self, name: str, request: Any, **more: Any) -> Any:
        return self._methods[name](request, timeout=PATIENCE, wait_for_ready=True, **more)

    def stream(self, name: str, requests: Iterator[Any]) -> Any:
        return self._methods[name](requests, wait_for_ready=True)

    def shutdown(self) -> int:
        """Ends the process in the orderly way and returns its exit status."""
        self.channel.unary_unary("/plugin.GRPCController/Shutdown")(b"", timeout=PATIENCE)
        return self.child.wait(PATIENCE)

    def healthy(self) -> bool:
        return bool(self.channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\x06plugin", timeout=PATIENCE, wait_for_ready=True) == b"\x08\x01")

    def messages(self) -> List[str]:
        """What was logged so far."""
        out = []
        for line in list(self.log):
            try:
                out.append(json.loads(line)["msg"])
            except (ValueError, KeyError, TypeError):
                out.append(line.rstrip())
        return out

    def logs(self, text: str) -> None:
        """Waits until a message with this text is logged."""
        with self._grown:
            if not self._grown.wait_for(lambda: any(text in m for m in self.messages()), PATIENCE):
                raise TimeoutError(f"the plugin did not log {text!r}, but {self.messages()}")

    def close(self) -> None:
        """Ends the process, whatever it does: its stdin ends, as when the worker is gone."""
        if hasattr(self, "channel"):
            self.channel.close()
        assert self.child.stdin is not None
        self.child.stdin.close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self._reader.join(10)
        assert self.child.stdout is not None and self.child.stderr is not None
        self.child.stdout.close()
        self.child.stderr.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Queue:
    """The requests of a stream."""

    def __init__(self) -> None:
        self._q: "queue.Queue[Any]" = queue.Queue()

    def put(self, x: Any) -> None:
        self._q.put(x)

    def __iter__(self) -> "_Queue":
        return self

    def __next__(self) -> Any:
        x = self._q.get()
        if x is None:
            raise StopIteration
        return x


class Task:
    """A task and its session. What it says to the worker is in `acked`, `rejected`, `letters`, `failures`, `retries`, `charged`, `remembered`."""

    def __init__(self, worker: "Worker", name: str, sink: bool, config: Mapping[str, str], settings: Mapping[str, Any], offsets: Mapping[str, str]) -> None:
        self.process = Process(worker.command, worker.environment)
        self.offsets = dict(offsets)  # by partition, both JSON
        self.remembered: Dict[str, str] = {}
        self.acked: List[int] = []
        self.rejected: List[Tuple[int, int, str]] = []
        self.letters: List[pb.Raw] = []  # of what a source could not read
        self.failures: List[PluginError] = []
        self.retries: List[PluginError] = []
        self.charged = 0
        self.refuse: Optional[Type[PluginError]] = None  # what a rejected record is answered with; None: it is tolerated
        self.claim = ""
        self._said = threading.Condition()
        self._answers = _Queue()
        request = pb.OpenRequest(sink=sink, config=dict(config), window=8 << 20, log_level=-4)
        setattr(request, "class", name)
        setattr(request.settings, "class", name)
        for k, v in {"connector": "test", "run_id": "1", **settings}.items():
            setattr(request.settings, k, v)
        try:
            self._raise(self.process.call("Open", request))
            self._session = self.process.stream("Session", iter(self._answers))
            self._listener = threading.Thread(target=self._listen, daemon=True)
            self._listener.start()
        except BaseException:
            self.process.close()
            raise

    def _raise(self, result: Any) -> Any:
        if result.HasField("error"):
            raise from_error(result.error)
        return result

    def begin(self) -> None:
        r = self.process.call("Start", pb.StartRequest())
        self.claim = r.claim or self.claim
        self._raise(r)

    def _listen(self) -> None:
        try:
            for call in self._session:
                answer = self._answer(call)
                if call.id:
                    answer.id = call.id
                    self._answers.put(answer)
        except grpc.RpcError:
            pass  # the task has ended

    def _answer(self, call: pb.Call) -> pb.Answer:
        kind, out = call.WhichOneof("call"), pb.Answer()
        with self._said:
            if kind == "ack":
                self.acked.extend(call.ack.ids)
            elif kind == "reject":
                self.rejected.append((call.reject.batch, call.reject.record, call.reject.cause.text))
                self._refuse(call.reject.cause, out)
            elif kind == "tolerate":
                self.rejected.append((0, call.tolerate.raw.offset, call.tolerate.cause.text))
                self.letters.append(call.tolerate.raw)
                self._refuse(call.tolerate.cause, out)
            elif kind == "fail":
                self.failures.append(from_error(call.fail))
            elif kind == "retrying":
                self.retries.append(from_error(call.retrying))
            elif kind == "charge":
                self.charged += call.charge
            elif kind in ("offsets", "state"):
                stored = self.offsets if kind == "offsets" else self.remembered
                wanted = getattr(call, kind).partitions or stored
                out.entries.extend(pb.Entry(partition=p, offset=stored[p]) for p in wanted if p in stored)
            elif kind == "remember":
                self.remembered.update((e.partition, e.offset) for e in call.remember.entries)
            self._said.notify_all()
        return out

    def _refuse(self, cause: pb.Error, out: pb.Answer) -> None:
        if self.refuse is not None:
            out.error.CopyFrom(to_error(self.refuse(cause.text)))

    def until(self, holds: Any) -> None:
        """Waits until something is true of what the task has said."""
        with self._said:
            if not self._said.wait_for(holds, PATIENCE):
                raise TimeoutError(f"the task did not do what was expected; its log: {self.process.messages()}")

    def stop(self) -> None:
        """Stops the task; its process is still there."""
        r = self.process.call("Stop", pb.StopRequest())
        self.claim = r.claim or self.claim
        self._raise(r)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        try:
            if self.process.child.poll() is None:
                self.stop()
        finally:
            self.close()

    def close(self) -> None:
        self._answers.put(None)
        self.process.close()


class SourceTask(Task):
    """A source that is running."""

    def __init__(self, *args: Any, remembered: Mapping[str, str]) -> None:
        super().__init__(*args)
        self.remembered.update(remembered)
        self._taken = _Queue()
        self.ended = False
        self._reader = Reader()
        try:
            self.begin()
            self.stream = self.process.stream("Poll", iter(self._taken))
        except BaseException:
            self.close()
            raise

    def poll(self) -> Optional[Batch]:
        """The next batch, None when the source has ended. Raises its error."""
        if self.ended:
            return None
        out = next(self.stream)
        if out.HasField("error"):
            if out.error.kind == pb.END:
                self.ended = True
                return None
            raise from_error(out.error)
        self._taken.put(pb.Taken())
        return self._reader.decode(out.batch)

    def take(self, records: int) -> List[Any]:
        """At least so many records, with what is in their batches beyond."""
        got: List[Any] = []
        while len(got) < records:
            b = self.poll()
            if b is None:
                break
            got.extend(b.rows())
            if b.offset_text:
                self.offsets[b.partition_text] = b.offset_text
        return got

    def commit(self) -> None:
        """Tells the source that all that was taken is durable."""
        self._raise(self.process.call("Commit", pb.CommitRequest(up_to=[pb.Entry(partition=p, offset=o) for p, o in self.offsets.items()])))

    def close(self) -> None:
        self._taken.put(None)
        super().close()


class SinkTask(Task):
    """A sink that is running."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._inputs = _Queue()
        self._known = Definitions()
        self._last = 0
        self._flushes = 0
        self.taken = 0
        self.released: List[int] = []
        self.flushed: Dict[int, Optional[PluginError]] = {}
        self.error: Optional[PluginError] = None
        try:
            self.begin()
        except BaseException:
            self.close()
            raise
        self._stream = self.process.stream("Put", iter(self._inputs))
        self._hearer = threading.Thread(target=self._hear, daemon=True)
        self._hearer.start()

    def _hear(self) -> None:
        try:
            for out in self._stream:
                with self._said:
                    self.taken += out.taken
                    self.released.extend(out.released)
                    error = from_error(out.error) if out.HasField("error") else None
                    if out.flushed:
                        self.flushed[out.flushed] = error
                    elif error is not None:
                        self.error = error
                    self._said.notify_all()
        except grpc.RpcError:
            pass  # the task has ended

    def put(self, changes: Changes) -> int:
        """Hands over a batch and returns its id; does not wait for the sink."""
        self._last += 1
        return self.send(changes.encode(self._known, self._last))

    def send(self, message: bytes) -> int:
        """Hands over a batch in bytes."""
        self._inputs.put(pb.SinkInput(batch=message))
        return self._last

    def flush(self) -> None:
        """Returns when everything is durable and acknowledged. Raises the sink's error."""
        self._flushes += 1
        n = self._flushes
        self._inputs.put(pb.SinkInput(flush=n))
        self.until(lambda: n in self.flushed or self.error is not None)
        error = self.error or self.flushed[n]
        if error is not None:
            raise error

    def progress(self, *partitions: str) -> List[Position]:
        r = self._raise(self.process.call("Progress", pb.ProgressRequest(partitions=[canonical(p) for p in partitions])))
        self.claim = r.claim or self.claim
        return [Position(p.partition, p.offset, Order(p.through.epoch, p.through.major, p.through.minor)) for p in r.positions]

    def set_progress(self, positions: Sequence[Position]) -> None:
        request = pb.SetProgressRequest()
        for p in positions:
            through = pb.Order(epoch=p.through.epoch, major=p.through.major, minor=p.through.minor)
            request.positions.add(partition=p.partition, offset=offset_text(p.offset), through=through)
        self._raise(self.process.call("SetProgress", request))

    def close(self) -> None:
        self._inputs.put(None)
        super().close()


class Worker:
    """Starts the processes of a plugin."""

    def __init__(self, command: Sequence[str], environment: Optional[Mapping[str, str]] = None) -> None:
        self.command, self.environment = command, environment

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def process(self) -> Process:
        """A process without a task."""
        return Process(self.command, self.environment)

    def describe(self) -> List[pb.Description]:
        p = self.process()
        try:
            return list(p.call("Describe", pb.DescribeRequest()).connectors)
        finally:
            p.close()

    def validate(self, name: str, config: Mapping[str, str], sink: bool = False, connect: bool = True) -> Dict[str, List[str]]:
        """What is wrong with a configuration, by the names of keys."""
        p = self.process()
        try:
            request = pb.ValidateRequest(sink=sink, config=dict(config), connect=connect)
            setattr(request, "class", name)
            return {v.name: list(v.errors) for v in p.call("Validate", request).values if v.errors}
        finally:
            p.close()

    def source(
        self, name: str, config: Mapping[str, str], offsets: Optional[Mapping[str, str]] = None, remembered: Optional[Mapping[str, str]] = None, **settings: Any
    ) -> SourceTask:
        """Starts a source. `offsets` are where it resumes, `remembered` the state of its own: both by partitions, all of it JSON."""
        return SourceTask(self, name, False, config, settings, offsets or {}, remembered=remembered or {})

    def sink(self, name: str, config: Mapping[str, str], **settings: Any) -> SinkTask:
        """Starts a sink. Settings are those of pluginpb, such as claim."""
        return SinkTask(self, name, True, config, settings, {})
