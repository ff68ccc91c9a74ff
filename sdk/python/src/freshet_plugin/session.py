"""What a task says to the worker, and asks of it."""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections import deque
from typing import Any, Deque, Dict, Iterable, Iterator, List, Optional, Tuple, Type

from .errors import Fenced, Permanent, PluginError, RequestError, Retriable, Stopped
from .offsets import canonical, offset_text
from .pb import plugin_pb2 as pb
from .schemas import Order, Partition

log = logging.getLogger("freshet_plugin")

_CLASSES: Tuple[Tuple[Type[PluginError], int], ...] = ((Permanent, pb.PERMANENT), (Fenced, pb.FENCED))


def to_error(e: BaseException) -> pb.Error:
    """An exception on its way to the worker."""
    text = str(e) or type(e).__name__
    if not isinstance(e, (PluginError, OSError)):
        text = f"{type(e).__name__}: {text}"
    out = pb.Error(text=text.encode(errors="backslashreplace").decode(), request=isinstance(e, RequestError))
    for cls, number in _CLASSES:
        if isinstance(e, cls):
            setattr(out, "class", number)
    if isinstance(e, Stopped):
        out.kind = pb.STOPPED
    stage = getattr(e, "stage", "")
    if stage:
        out.stage = stage
    return out


def from_error(e: pb.Error) -> PluginError:
    """The exception for an error of the worker."""
    if e.kind in (pb.STOPPED, pb.CANCELLED):
        return Stopped(e.text)
    cls: Type[PluginError] = {pb.PERMANENT: Permanent, pb.FENCED: Fenced}.get(getattr(e, "class"), Retriable)
    return cls(e.text)


class Caller:
    """Carries calls to the worker, in order, and the answers. Safe for concurrent use.

    Notices that follow each other are joined: there are never more of them waiting than there are batches and questions.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._lock = threading.Condition()
        self._out: Deque[pb.Call] = deque()
        self._waiting: Dict[int, List[pb.Answer]] = {}
        self._ids = itertools.count(1)
        self._closed = False

    def tell(self, call: pb.Call) -> None:
        """Sends a notice."""
        with self._lock:
            self._add(call)

    def _add(self, call: pb.Call) -> None:
        last = self._out[-1] if self._out else None
        kind = call.WhichOneof("call")
        if last is not None and last.id == 0 and call.id == 0 and last.WhichOneof("call") == kind:
            if kind == "ack":
                last.ack.ids.extend(call.ack.ids)
                return
            if kind == "charge":
                last.charge += call.charge
                return
            if kind == "retrying":
                last.retrying.CopyFrom(call.retrying)
                return
        self._out.append(call)
        self._lock.notify_all()

    def ask(self, call: pb.Call) -> pb.Answer:
        """Sends a question and waits for its answer. Raises what the worker answers, and Stopped when the task ends meanwhile."""
        with self._lock:
            call.id = next(self._ids)
            place: List[pb.Answer] = []
            self._waiting[call.id] = place
            self._add(call)
            while not place and not self._closed and not self.stopping.is_set():
                self._lock.wait()
            self._waiting.pop(call.id, None)
        if not place:
            raise Stopped("the task is stopping")
        if place[0].HasField("error"):
            raise from_error(place[0].error)
        return place[0]

    def stop(self) -> None:
        """No question is waited for any more."""
        self.stopping.set()
        with self._lock:
            self._lock.notify_all()

    def close(self) -> None:
        """Ends the stream of calls."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def calls(self) -> Iterator[pb.Call]:
        """What is to be sent, until close."""
        while True:
            with self._lock:
                while not self._out and not self._closed:
                    self._lock.wait()
                if not self._out:
                    return
                call = self._out.popleft()
            yield call

    def hear(self, answers: Iterable[pb.Answer]) -> None:
        """Takes answers until their stream ends."""
        try:
            for a in answers:
                with self._lock:
                    place = self._waiting.get(a.id)
                    if place is not None:
                        place.append(a)
                        self._lock.notify_all()
        except Exception as e:
            log.debug("the session has ended: %s", e)  # the worker ended it
        self.close()


class SinkSession:
    """What the worker lends to a sink. Safe from any thread."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def ack(self, id: int) -> None:
        self._caller.tell(pb.Call(ack=pb.Acks(ids=[id])))

    def reject(self, batch: int, record: int, cause: BaseException) -> None:
        self._caller.ask(pb.Call(reject=pb.Reject(batch=batch, record=record, cause=to_error(cause))))

    def settle(self) -> None:
        """Returns when all that was rejected is durable in the dead-letter queue: a sink that stores positions itself calls it before
        one behind a rejected record can become durable."""
        self._caller.ask(pb.Call(settle=pb.Settle()))

    def fail(self, cause: BaseException) -> None:
        """Ends this task; a new one begins at the durable offset, unless the class of the error forbids it."""
        self._caller.tell(pb.Call(fail=to_error(cause)))

    def retrying(self, cause: BaseException) -> None:
        """Says why something that was taken is tried again; operators hear of it until the next ack."""
        self._caller.tell(pb.Call(retrying=to_error(cause)))

    def charge(self, n: int) -> None:
        """Adds (or with a negative n returns) bytes of encoded and not yet sent data to the task's budget."""
        self._caller.tell(pb.Call(charge=n))

    def sync(self) -> None:
        """Returns when the worker has heard all calls before."""
        self._caller.ask(pb.Call(sync=pb.Sync()))


class SourceSession:
    """What the worker lends to a source. Safe from any thread. Partitions are dicts (or their JSON), offsets dicts."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.sent = 0  # batches

    def offset(self, partition: Partition) -> Optional[Dict[str, Any]]:
        """Where to resume: the lowest position of all sinks; None: nothing was ever committed."""
        found = self.offsets(partition)
        return found[0][1] if found else None

    def offsets(self, *partitions: Partition) -> List[Tuple[Dict[str, Any], Dict[str, Any]]]:
        """Partitions and where to resume in them; of all when none is given."""
        return _pairs(self._caller.ask(pb.Call(offsets=_names(partitions))))

    def reached(self, partition: Partition) -> Dict[str, Order]:
        """Through which order each of several sinks had the partition when offsets were asked for last, by the sink's alias."""
        a = self._caller.ask(pb.Call(reached=canonical(partition)))
        return {r.sink: Order(r.through.epoch, r.through.major, r.through.minor) for r in a.reached}

    def anew(self, partition: Partition) -> None:
        """Says that the partition begins anew: every record goes to every sink, whatever its order."""
        self._caller.ask(pb.Call(anew=pb.Mark(partition=canonical(partition), sent=self.sent)))

    def state(self, *partitions: Partition) -> List[Tuple[Dict[str, Any], Dict[str, Any]]]:
        """State of the source's own that `remember` has stored; its partitions have a member "freshet"."""
        return _pairs(self._caller.ask(pb.Call(state=_names(partitions))))

    def remember(self, partition: Partition, value: Optional[Dict[str, Any]]) -> None:
        """Stores such state at once, whatever is on its way to the sinks; None deletes. All tasks of the connector share it."""
        entry = pb.Entry(partition=canonical(partition), offset=offset_text(value))
        self._caller.ask(pb.Call(remember=pb.Entries(entries=[entry])))

    def tolerate(self, raw: pb.Raw, cause: BaseException, stage: str = "VALUE_CONVERTER") -> None:
        """Hands out one record that cannot be turned into one of a batch (Raw(topic=…, value=…)). Returns when it is tolerated: go on
        without it; else raises what to fail with."""
        error = to_error(cause)
        error.stage = stage
        self._caller.ask(pb.Call(tolerate=pb.Tolerate(raw=raw, cause=error)))

    def drain(self, *partitions: Partition) -> None:
        """Returns when all that was sent of these partitions (of all, when none is given) is durable and committed."""
        self._caller.ask(pb.Call(drain=pb.Drain(partitions=[canonical(p) for p in partitions], sent=self.sent)))


def _names(partitions: Iterable[Partition]) -> pb.Partitions:
    return pb.Partitions(partitions=[canonical(p) for p in partitions])


def _pairs(a: pb.Answer) -> List[Tuple[Dict[str, Any], Dict[str, Any]]]:
    return [(json.loads(e.partition), json.loads(e.offset)) for e in a.entries if e.offset]
