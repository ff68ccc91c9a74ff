"""Logs as JSON lines on stderr, which become lines of the task's log."""

from __future__ import annotations

import io
import json
import logging
import sys
import traceback
from typing import Any, Dict, TextIO

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
_LEVELS = ((logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO"))


class JSONHandler(logging.Handler):
    """Writes {"level":…,"msg":…} with the members of `extra`; a traceback is the member "trace"."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._stream.write(line_of(record) + "\n")
            self._stream.flush()
        except Exception:  # a log must not end the work
            pass


def line_of(record: logging.LogRecord) -> str:
    level = next((name for least, name in _LEVELS if record.levelno >= least), "DEBUG")
    members: Dict[str, Any] = {"level": level, "msg": record.getMessage()}
    if record.name not in ("root", "freshet_plugin"):
        members["logger"] = record.name
    members.update((k, v) for k, v in vars(record).items() if k not in _STANDARD)
    if record.exc_info and record.exc_info[0] is not None:
        members["trace"] = "".join(traceback.format_exception(*record.exc_info))[-8000:]
    return json.dumps(members, default=str, ensure_ascii=False)


class LineLogger(io.TextIOBase):
    """What is printed, as lines of a log."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.info("%s", line.rstrip())
        self._line = self._line[-65536:]
        return len(text)


def install() -> None:
    """Sends all logs, and what is printed to stdout, to stderr as JSON lines."""
    stream = io.TextIOWrapper(open(2, "wb", buffering=0, closefd=False), "utf-8", errors="backslashreplace", write_through=True)
    root = logging.getLogger()
    root.handlers[:] = [JSONHandler(stream)]
    root.setLevel(logging.INFO)
    sys.stdout = LineLogger(logging.getLogger("stdout"))
    sys.excepthook = lambda kind, e, trace: root.critical("%s: %s", kind.__name__, e, exc_info=(kind, e, trace))


def set_level(level: int) -> None:
    """Sets the level of the log; -4 debug, 0 info, 4 warning, 8 error."""
    numbers = ((8, logging.ERROR), (4, logging.WARNING), (0, logging.INFO))
    logging.getLogger().setLevel(next((ours for theirs, ours in numbers if level >= theirs), logging.DEBUG))
