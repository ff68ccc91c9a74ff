"""A plugin's process: the handshake with the worker that has started it, its calls, and its end."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from concurrent import futures
from typing import Any, Callable, Dict, NoReturn, Optional, Sequence, Tuple, Type

import grpc

from . import logs
from .config import ConfigValue, Values
from .connector import Connector, Position, Settings, Sink, Source
from .errors import Permanent, RequestError
from .offsets import canonical, offset_text
from .pb import plugin_pb2 as pb
from .schemas import Order
from .session import to_error
from .tasks import PATIENCE, SinkTask, SourceTask, Task

log = logging.getLogger("freshet_plugin")

COOKIE = ("FRESHET_PLUGIN", "6c5f0b9a-connector")
PROTOCOL = 1
_SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse{status: SERVING}
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
]


def serve(*connectors: Type[Connector]) -> NoReturn:
    """Serves these classes to the worker that has started this process, until it says or is no more. Does not return."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit("This program is a plugin of Freshet, which starts it: put its folder into plugin.path of a worker.")
    if os.environ.get("PLUGIN_CLIENT_CERT"):
        sys.exit('This plugin speaks over a unix socket without TLS: its plugin.json needs "transport": "socket".')
    versions = os.environ.get("PLUGIN_PROTOCOL_VERSIONS", str(PROTOCOL)).split(",")
    if str(PROTOCOL) not in versions:
        sys.exit(f"This plugin speaks version {PROTOCOL} of the protocol, the worker {', '.join(versions)}: install another version of freshet-plugin.")
    stdout = os.dup(1)
    os.set_inheritable(stdout, False)
    os.dup2(2, 1)  # what is printed is log
    logs.install()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = threading.Event()
    server = make_server(connectors, ended.set)
    folder = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or _own_folder()
    path = os.path.join(folder, f"plugin{os.getpid()}")
    server.add_insecure_port("unix:" + path)
    server.start()
    threading.Thread(target=_watch, daemon=True, name="worker").start()
    os.write(stdout, f"1|{PROTOCOL}|unix|{path}|grpc|\n".encode())
    ended.wait()
    server.stop(0.5).wait()
    os._exit(0)


def _own_folder() -> str:
    import tempfile  # a worker has made one, so that a start does without it

    return tempfile.mkdtemp(prefix="freshet-plugin")


def _watch() -> None:
    """Ends the process when the worker is gone."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def make_server(connectors: Sequence[Type[Connector]], shutdown: Callable[[], None]) -> grpc.Server:
    """A server of the calls, without a port."""
    service = Service(connectors)
    handlers: Dict[str, Any] = {}
    for m in pb.DESCRIPTOR.services_by_name["Connector"].methods:
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[m.client_streaming, m.server_streaming]
        read = getattr(pb, m.input_type.name).FromString
        handlers[m.name] = make(getattr(service, m.name), read, getattr(pb, m.output_type.name).SerializeToString)

    def check(request: bytes, context: Any) -> bytes:
        return _SERVING

    def end(request: bytes, context: Any) -> bytes:
        shutdown()
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(16, "call"), options=_OPTIONS)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("freshet.plugin.v1.Connector", handlers),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}),
            grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": grpc.unary_unary_rpc_method_handler(end)}),
        )
    )
    return server


class Service:
    """The calls of pluginpb."""

    def __init__(self, connectors: Sequence[Type[Connector]]) -> None:
        self._classes = list(connectors)
        for c in self._classes:
            if not issubclass(c, (Source, Sink)):
                raise TypeError(f"{c.__name__} is neither a Source nor a Sink")
            if issubclass(c, Source) and _owns_offsets(c) and not (c.own_offsets and _overridden(c, Source, "set_offsets")):
                raise TypeError(f"{c.__name__} has get_offsets, which needs set_offsets and own_offsets = True")
        self._lock = threading.Lock()
        self._task: Optional[Task] = None

    def _find(self, name: str, sink: bool, context: Any) -> Any:
        for c in self._classes:
            if class_name(c) == name and issubclass(c, Sink) == sink:
                return c
        context.abort(grpc.StatusCode.NOT_FOUND, f"the plugin has no connector of class {name}")

    def _opened(self, kind: Any, context: Any) -> Any:
        with self._lock:
            task = self._task
        if not isinstance(task, kind):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the process has no such task; Open comes first")
        return task

    def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:
        return pb.DescribeResponse(connectors=[describe(c) for c in self._classes])

    def Validate(self, request: pb.ValidateRequest, context: Any) -> pb.ValidateResponse:
        values = validate(self._find(request.__getattribute__("class"), request.sink, context), dict(request.config), request.connect)
        out = pb.ValidateResponse()
        for v in values:
            out.values.add(name=v.name, value=v.value, recommended=v.recommended, errors=v.errors, visible=True, passing=v.passing)
        return out

    def Tasks(self, request: pb.TasksRequest, context: Any) -> pb.TasksResponse:
        c = self._find(request.__getattribute__("class"), request.sink, context)
        try:
            tasks = c.tasks(_values(c, dict(request.config)), request.max)
            return pb.TasksResponse(tasks=[pb.TaskConfig(config=t) for t in tasks], no_positions=_own_offsets(c))
        except Exception as e:
            return pb.TasksResponse(error=to_error(e))

    def CheckOffsets(self, request: pb.OffsetsRequest, context: Any) -> pb.Result:
        c = self._find(request.__getattribute__("class"), False, context)
        return _result(lambda: c.check_offsets(_values(c, dict(request.config)), None if request.all else [(e.partition, e.offset) for e in request.entries]))

    def _owner(self, request: pb.OffsetsRequest, context: Any) -> Type[Source]:
        c: Type[Source] = self._find(request.__getattribute__("class"), False, context)
        if not _owns_offsets(c):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "the connector has no offsets of its own")
        return c

    def GetOffsets(self, request: pb.OffsetsRequest, context: Any) -> pb.OffsetsResponse:
        c = self._owner(request, context)
        return _offsets(lambda: c.get_offsets(_values(c, dict(request.config)), _settings(request.settings)))

    def SetOffsets(self, request: pb.OffsetsRequest, context: Any) -> pb.OffsetsResponse:
        c = self._owner(request, context)

        def set_offsets() -> Any:
            entries = None if request.all else [_entry(e) for e in request.entries]
            c.set_offsets(_values(c, dict(request.config)), _settings(request.settings), entries)
            return [(e.partition, e.offset) for e in request.entries]

        return _offsets(set_offsets)

    def Open(self, request: pb.OpenRequest, context: Any) -> pb.Result:
        c = self._find(request.__getattribute__("class"), request.sink, context)
        with self._lock:
            if self._task is not None:
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the process has its task already")
            logs.set_level(request.log_level)
            try:
                connector = c(_values(c, dict(request.config)), _settings(request.settings))
                self._task = SourceTask(connector, request.window) if isinstance(connector, Source) else SinkTask(connector)
            except Exception as e:
                return pb.Result(error=to_error(e))
        return pb.Result()

    def Session(self, requests: Any, context: Any) -> Any:
        task = self._opened(Task, context)
        threading.Thread(target=task.caller.hear, args=(requests,), daemon=True, name="answers").start()
        return task.caller.calls()

    def Start(self, request: pb.StartRequest, context: Any) -> pb.TaskResult:
        task = self._opened(Task, context)
        return _task_result(task, task.start)

    def Stop(self, request: pb.StopRequest, context: Any) -> pb.TaskResult:
        task = self._opened(Task, context)
        left = context.time_remaining()  # without a deadline None, or as good as for ever
        patience = PATIENCE if left is None else min(max(left - 0.5, 0.1), PATIENCE)
        return _task_result(task, lambda: task.stop(patience))

    def Poll(self, requests: Any, context: Any) -> Any:
        return self._opened(SourceTask, context).poll(requests, context.add_callback)

    def Commit(self, request: pb.CommitRequest, context: Any) -> pb.Result:
        task = self._opened(SourceTask, context)
        return _result(lambda: task.commit(request.up_to))

    def Put(self, requests: Any, context: Any) -> Any:
        return self._opened(SinkTask, context).put(requests)

    def Progress(self, request: pb.ProgressRequest, context: Any) -> pb.ProgressResponse:
        task = self._opened(SinkTask, context)
        out = pb.ProgressResponse()
        try:
            for p in task.sink.progress(list(request.partitions)):
                out.positions.add(partition=p.partition, offset=p.offset, through=pb.Order(epoch=p.through.epoch, major=p.through.major, minor=p.through.minor))
            out.claim = task.claim()
        except Exception as e:
            log.debug("progress failed", exc_info=e)
            return pb.ProgressResponse(error=to_error(e))
        return out

    def SetProgress(self, request: pb.SetProgressRequest, context: Any) -> pb.Result:
        task = self._opened(SinkTask, context)
        positions = [Position(p.partition, p.offset, Order(p.through.epoch, p.through.major, p.through.minor)) for p in request.positions]
        return _result(lambda: task.sink.set_progress(positions))


def _result(f: Callable[[], None]) -> pb.Result:
    try:
        f()
    except Exception as e:
        log.debug("the call failed", exc_info=e)
        return pb.Result(error=to_error(e))
    return pb.Result()


def _entry(e: pb.Entry) -> Tuple[Dict[str, Any], Optional[Dict[str, Any]]]:
    """An entry as a user wrote it."""
    try:
        return json.loads(canonical(e.partition)), json.loads(offset_text(e.offset) or "null")
    except ValueError as problem:
        raise RequestError(str(problem)) from None


def _offsets(f: Callable[[], Any]) -> pb.OffsetsResponse:
    try:
        return pb.OffsetsResponse(entries=[pb.Entry(partition=canonical(p), offset=offset_text(o)) for p, o in f()])
    except Exception as e:
        log.debug("the call failed", exc_info=e)
        return pb.OffsetsResponse(error=to_error(e))


def _task_result(task: Task, f: Callable[[], None]) -> pb.TaskResult:
    result = _result(f)
    out = pb.TaskResult()
    if result.HasField("error"):
        out.error.CopyFrom(result.error)
    try:
        out.claim = task.claim()
    except Exception as e:
        log.warning("the sink does not tell its claim: %s", e)
    return out


def class_name(c: Type[Connector]) -> str:
    """What connector.class calls it."""
    return c.class_name or c.__name__


def _overridden(c: Type[Connector], base: Type[Connector], method: str) -> bool:
    return getattr(c, method).__func__ is not getattr(base, method).__func__


def _own_offsets(c: Type[Connector]) -> bool:
    return issubclass(c, Source) and c.own_offsets


def _owns_offsets(c: Type[Connector]) -> bool:
    return _overridden(c, Source, "get_offsets")


def describe(c: Type[Connector]) -> pb.Description:
    source = issubclass(c, Source)
    out = pb.Description(aliases=c.aliases, source=source, sink=not source, version=c.version, doc=c.doc or (c.__doc__ or "").strip().split("\n")[0])
    setattr(out, "class", class_name(c))
    out.checks_keys = _overridden(c, Connector, "validate")
    if issubclass(c, Sink):
        out.keeper, out.from_topics = c.keeps_offsets(), c.from_topics
    elif issubclass(c, Source):
        out.checks_offsets = _overridden(c, Source, "check_offsets")
        out.own_offsets = out.resumes = c.own_offsets
        out.owns_offsets = _owns_offsets(c)
    for k in c.config_def.keys:
        default = k.default_text
        out.keys.add(
            name=k.name, type=k.type.value, default=default or "", has_default=default is not None, required=k.required, importance=k.importance, doc=k.doc,
            group=k.group, order=k.order, width=k.width, display=k.display or k.name, dependents=k.dependents, recommended=k.recommended, closed=k.closed,
            prefix=k.prefix,
        )  # fmt: skip
    return out


def validate(c: Type[Connector], config: Dict[str, str], connect: bool) -> "list[ConfigValue]":
    """Checks every key, then the keys together, then (where asked) the connection."""
    values = c.config_def.validate(config)
    if any(v.errors for v in values):
        return values
    try:
        problems = c.validate(Values(c.config_def, config)) or {}
    except Exception as e:
        problems = {"connector.class": str(to_error(e).text)}
    for name, problem in problems.items():
        _place(values, name).errors.append(f"The '{name}' value is invalid: {problem}")
    if problems or not connect:
        return values
    try:
        c.connect(Values(c.config_def, config))
    except Exception as e:
        text = to_error(e).text
        named = [v for v in values if v.name in text]
        v = min(named, key=lambda v: text.index(v.name)) if named else values[0] if values else _place(values, "connector.class")
        v.errors.append(text)
        v.passing = not isinstance(e, Permanent)
    return values


def _place(values: "list[ConfigValue]", name: str) -> ConfigValue:
    for v in values:
        if v.name == name:
            return v
    values.append(ConfigValue(name))
    return values[-1]


def _values(c: Type[Connector], config: Dict[str, str]) -> Values:
    try:
        return c.config_def.values(config)
    except ValueError as e:
        raise Permanent(str(e)) from None


def _settings(s: pb.Settings) -> Settings:
    return Settings(
        s.connector, s.task, s.sink, s.__getattribute__("class"), s.group_id, s.run_id, s.version, dict(s.worker),
        s.exactly_once, s.shared, s.keep_raw, s.claim, s.tolerant,
    )  # fmt: skip
