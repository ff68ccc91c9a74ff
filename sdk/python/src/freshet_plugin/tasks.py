"""The one task of a process: a source or a sink between its author's methods and the worker's streams."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional

from .batch import Batch, Reader
from .builder import Changes
from .connector import Connector, Sink, Source
from .errors import EndOfData, Permanent, Stopped, WireError
from .pb import plugin_pb2 as pb
from .session import Caller, SinkSession, SourceSession, to_error
from .wire import Definitions

log = logging.getLogger("freshet_plugin")

AHEAD = 2  # batches that a source may have sent and the worker has not taken
PATIENCE = 60.0  # seconds that poll, put or flush may go on when the task is stopped


class _Outputs:
    """What goes out on a stream, in order, until close."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._list: Deque[Any] = deque()
        self._closed = False

    def add(self, x: Any) -> None:
        with self._changed:
            self._list.append(x)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._changed:
                while not self._list and not self._closed:
                    self._changed.wait()
                if not self._list:
                    return
                x = self._list.popleft()
            yield x


class Task:
    """What the tasks of sources and sinks have in common."""

    def __init__(self, connector: Connector) -> None:
        self.caller = Caller()
        self.connector = connector
        connector.stopping = self.caller.stopping
        self._thread: Optional[threading.Thread] = None
        self._begun = threading.Lock()
        self._streaming = False

    def _begin(self, work: Callable[[], None]) -> None:
        """Runs work in the thread that alone calls the connector. Raises RuntimeError the second time."""
        with self._begun:
            if self._streaming:
                raise RuntimeError("the call comes once in the life of a task")
            self._streaming = True
            if self.caller.stopping.is_set():
                return
            self._thread = threading.Thread(target=work, daemon=True, name="task")
            self._thread.start()

    def start(self) -> None:
        self.connector.start()

    def stop(self, patience: float) -> None:
        """Ends the work. Raises when the connector does not return."""
        self.caller.stop()
        self.wake()
        self.connector.interrupt()
        with self._begun:
            thread = self._thread
        if thread is not None:
            thread.join(patience)
            if thread.is_alive():
                raise Stopped(f"the task does not return from {self.doing()} after {patience:.0f} s; it should heed self.stopping, or interrupt()")
        self.connector.stop()

    def wake(self) -> None:
        """Wakes what waits in the task itself."""

    def doing(self) -> str:
        return "its work"

    def claim(self) -> str:
        return ""


class SourceTask(Task):
    """Polls a source and sends what it returns, as far ahead as the worker allows."""

    def __init__(self, source: Source, window: int) -> None:
        super().__init__(source)
        self.source = source
        source.session = SourceSession(self.caller)
        self._window = window
        self._room = threading.Condition()
        self._held: Deque[int] = deque()  # bytes of batches that were sent and not taken
        self._out = _Outputs()

    def poll(self, taken: Iterable[pb.Taken], cancelled: Callable[[Callable[[], None]], Any]) -> Iterator[pb.SourceOutput]:
        self._begin(self._work)
        cancelled(self._end)
        threading.Thread(target=self._hear, args=(taken,), daemon=True, name="taken").start()
        yield from self._out

    def _end(self) -> None:
        """The worker has ended the stream: nothing more is polled."""
        self.caller.stop()
        self.wake()
        self._out.close()

    def wake(self) -> None:
        with self._room:
            self._room.notify_all()

    def doing(self) -> str:
        return "poll"

    def _hear(self, taken: Iterable[pb.Taken]) -> None:
        try:
            for _ in taken:
                with self._room:
                    if self._held:
                        self._held.popleft()
                    self._room.notify_all()
        except Exception as e:
            log.debug("the stream of batches has ended: %s", e)

    def _work(self) -> None:
        known = Definitions()
        try:
            while not self.caller.stopping.is_set():
                self._turn(known)
        except EndOfData as e:
            self._out.add(pb.SourceOutput(error=pb.Error(text=str(e) or "EOF", kind=pb.END)))
        except Exception as e:
            if not (isinstance(e, Stopped) and self.caller.stopping.is_set()):
                log.debug("poll failed", exc_info=e)
                self._out.add(pb.SourceOutput(error=to_error(e)))
        self._out.close()

    def _turn(self, known: Definitions) -> None:
        """One call of poll."""
        got = self.source.poll()
        if got is None:
            self.caller.stopping.wait(self.source.pause)
            return
        empty = True
        for changes in (got,) if isinstance(got, Changes) else got:
            if changes is not None:
                empty = False
                if not self._send(changes, known):
                    return
        if empty:
            self.caller.stopping.wait(self.source.pause)

    def _send(self, changes: Changes, known: Definitions) -> bool:
        """Sends a batch when there is room; False: the task is being stopped."""
        if not isinstance(changes, Changes):
            raise Permanent(f"poll returned a {type(changes).__name__}; self.batch(…) is expected")
        try:
            message = changes.encode(known)
        except (TypeError, ValueError, OverflowError) as e:
            raise Permanent(f"encode batch of {changes.partition}: {e}") from e
        with self._room:
            while self._held and (len(self._held) >= AHEAD or sum(self._held) + len(message) > self._window):
                if self.caller.stopping.is_set():
                    return False
                self._room.wait()
            if self.caller.stopping.is_set():
                return False
            self._held.append(len(message))
        self.source.session.sent += 1
        self._out.add(pb.SourceOutput(batch=message))
        return True

    def commit(self, entries: Iterable[pb.Entry]) -> None:
        self.source.commit([(json.loads(e.partition), json.loads(e.offset)) for e in entries if e.offset])


class SinkTask(Task):
    """Hands what arrives to a sink."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.sink = sink
        sink.session = SinkSession(self.caller)
        self._out = _Outputs()
        self._calling = threading.Lock()  # held while the sink works
        self._lock = threading.Lock()
        self._pending: Dict[int, Batch] = {}  # taken and not acknowledged
        self._doing = "put"

    def put(self, inputs: Iterable[pb.SinkInput]) -> Iterator[pb.SinkOutput]:
        self._begin(lambda: self._work(inputs))
        yield from self._out

    def doing(self) -> str:
        return self._doing

    def claim(self) -> str:
        return self.sink.claim()

    def stop(self, patience: float) -> None:
        # The thread waits for input, which ends after this call: only what it does with the sink is waited for.
        self.caller.stop()
        self.sink.interrupt()
        if not self._calling.acquire(timeout=patience):
            raise Stopped(f"the task does not return from {self._doing} after {patience:.0f} s; it should heed self.stopping, or interrupt()")
        try:
            self.sink.stop()
        finally:
            self._calling.release()

    def _work(self, inputs: Iterable[pb.SinkInput]) -> None:
        reader = Reader()
        try:
            for i in inputs:
                with self._calling:
                    if self.caller.stopping.is_set() or not self._input(i, reader):
                        break
        except Exception as e:
            log.debug("the stream of batches has ended: %s", e)
        self._out.close()

    def _input(self, i: pb.SinkInput, reader: Reader) -> bool:
        """Does what the worker wants; False: nothing more is taken."""
        if i.flush:
            self._doing = "flush"
            out = pb.SinkOutput(flushed=i.flush)
            try:
                self._flush()
            except Exception as e:
                log.debug("flush failed", exc_info=e)
                out.error.CopyFrom(to_error(e))
            self._out.add(out)
            return True
        self._doing = "put"
        try:
            self._put(reader, i.batch)
        except Exception as e:
            log.debug("put failed", exc_info=e)
            error = Permanent(str(e)) if isinstance(e, WireError) else e
            self._out.add(pb.SinkOutput(error=to_error(error)))
            return False
        self._out.add(pb.SinkOutput(taken=len(i.batch)))
        return True

    def _put(self, reader: Reader, message: bytes) -> None:
        b = reader.decode(message)
        b._ack, b._reject = self._acknowledge, self._reject
        with self._lock:
            self._pending[b.id] = b
        self.sink.put(b)

    def _flush(self) -> None:
        self.sink.flush()
        with self._lock:
            rest: List[Batch] = list(self._pending.values())
        for b in rest:
            b.ack()
        self.sink.session.sync()

    def _acknowledge(self, b: Batch) -> None:
        with self._lock:
            if self._pending.pop(b.id, None) is None:
                return
            self.sink.session.ack(b.id)
        self._out.add(pb.SinkOutput(released=[b.id]))

    def _reject(self, b: Batch, record: int, cause: BaseException) -> None:
        self.sink.session.reject(b.id, record, cause)
