"""What an author writes: a Source or a Sink."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from .batch import Batch
from .builder import Changes
from .config import ConfigDef, Values
from .schemas import Order, Partition

if TYPE_CHECKING:
    from .session import SinkSession, SourceSession


@dataclass
class Settings:
    """What the worker tells a task beside its configuration."""

    connector: str = ""
    task: int = 0
    sink: str = ""  # alias of this sink; "" for the only one
    class_name: str = ""
    group_id: str = ""
    run_id: str = ""
    version: str = ""  # of Freshet
    worker: Dict[str, str] = field(default_factory=dict)
    exactly_once: bool = False
    shared: bool = False
    keep_raw: bool = False
    claim: str = ""  # what this task's instance before held of the sink's target
    tolerant: bool = False  # rejected records are left out: keep what is needed to reject one late


@dataclass
class Position:
    """How far a sink is in one source partition. `partition` and `offset` are JSON as Batch has them; an empty offset deletes."""

    partition: str
    offset: str
    through: Order = Order()


class Connector:
    """What sources and sinks have in common. A task is an object; each runs in a process of its own."""

    #: The class name for connector.class, as com.example.MySink; by default that of the Python class.
    class_name: ClassVar[str] = ""
    #: Further names, the short one first.
    aliases: ClassVar[Sequence[str]] = ()
    version: ClassVar[str] = "0"
    doc: ClassVar[str] = ""
    config_def: ClassVar[ConfigDef] = ConfigDef()

    config: Values
    settings: Settings
    log: logging.Logger
    #: Set when the task is being stopped: what waits should return then.
    stopping: threading.Event

    def __init__(self, config: Optional[Values] = None, settings: Optional[Settings] = None) -> None:
        self.config = config if config is not None else self.config_def.values({})
        self.settings = settings if settings is not None else Settings()
        self.log = logging.getLogger(type(self).__module__)
        self.stopping = threading.Event()

    @classmethod
    def validate(cls, config: Values) -> Optional[Mapping[str, str]]:
        """Looks at the keys together, without a connection: what is wrong, by the names of keys."""
        return None

    @classmethod
    def connect(cls, config: Values) -> None:
        """Tries the connection of a configuration whose keys are in order; raises what is wrong."""

    @classmethod
    def tasks(cls, config: Values, most: int) -> List[Dict[str, str]]:
        """Splits the work into at most so many task configurations."""
        return [dict(config.text)]

    def start(self) -> None:
        """Connects."""

    def stop(self) -> None:
        """Ends background work. Also called after a start that failed, and perhaps twice."""

    def interrupt(self) -> None:
        """Called from another thread when the task is being stopped, to wake what blocks in poll, put or flush."""

    def wait(self, seconds: float) -> bool:
        """Sleeps; True at once when the task is being stopped."""
        return self.stopping.wait(seconds)


class Source(Connector):
    """Reads one share of a source. `poll` runs in one thread, `commit` in another; `stop` comes when poll has returned.

    One with `own_offsets` that overrides `get_offsets` and `set_offsets` lets users see and alter them through the worker.
    """

    session: "SourceSession"
    #: How long to wait after a poll that had nothing, in seconds.
    pause: ClassVar[float] = 0.05
    #: The system that is read keeps where to go on, and `commit` tells it: the worker stores no offset, and `session.offset` has none but
    #: that of a sink that keeps it, which takes the partition over when it is asked for. Exactly once is refused.
    own_offsets: ClassVar[bool] = False

    def poll(self) -> Union[None, Changes, Iterable[Changes]]:
        """Blocks for the next batch, not for long, and returns it; or several, or yields them; None when there is nothing yet.

        Raises EndOfData when the source has ended for good. After any other exception the task begins anew at the durable offset.
        """
        raise NotImplementedError

    def commit(self, offsets: List[Tuple[Dict[str, Any], Dict[str, Any]]]) -> None:
        """Partitions and positions up to which everything is durable: the source may forget it. Only the newest are told.

        With `own_offsets` a position of an earlier task may come, too, from a sink that keeps it: it must not cover what this task sends.
        """

    def batch(self, partition: Partition, offset: Union[None, str, Dict[str, Any]] = None, order: Union[None, int, Order] = None) -> Changes:
        """An empty batch; see Changes."""
        return Changes(partition, offset, order)

    @classmethod
    def check_offsets(cls, config: Values, entries: Optional[List[Tuple[str, str]]]) -> None:
        """Raises what is wrong with partitions and offsets (JSON; an empty offset deletes) that a user wants to set; None: all are to be
        deleted."""

    @classmethod
    def get_offsets(cls, config: Values, settings: Settings) -> List[Tuple[Dict[str, Any], Dict[str, Any]]]:
        """With `own_offsets`: partitions, and where the system goes on in them, as `commit` has them."""
        raise NotImplementedError

    @classmethod
    def set_offsets(cls, config: Values, settings: Settings, entries: Optional[List[Tuple[Dict[str, Any], Optional[Dict[str, Any]]]]]) -> None:
        """With `own_offsets`: tells the system where to go on, while no task runs. An offset of None is deleted; entries None: all are.

        Raises RequestError, before anything is changed, for what makes no sense. Sinks that keep offsets are set to the same.
        """
        raise NotImplementedError


class Sink(Connector):
    """Writes batches to one target. `put`, `flush` and `stop` are never called at the same time.

    A sink that overrides `progress` and `set_progress` stores offsets together with the data (exactly once).
    """

    session: "SinkSession"
    #: Whether it takes records with values as topics have them (stream.table is None), from several tasks at once.
    from_topics: ClassVar[bool] = False

    def put(self, batch: Batch) -> None:
        """Takes the batch over, in order; blocks to push back. Call batch.ack() once it is durable, here or later, from any thread.

        A batch without records is a position: acknowledge it after everything before it. After an exception the task begins anew.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Returns when everything that was put is durable; what is not acknowledged then is acknowledged for you."""

    def claim(self) -> str:
        """What the sink holds of its target, for the instance after it; "" when it does not fence."""
        return ""

    def progress(self, partitions: List[str]) -> List[Position]:
        """Takes the partitions (JSON; none: all of the connector's) over from any earlier owner, and returns what is stored for them."""
        raise NotImplementedError

    def set_progress(self, positions: List[Position]) -> None:
        """Overwrites stored positions while no task runs; an empty offset deletes."""
        raise NotImplementedError

    @classmethod
    def keeps_offsets(cls) -> bool:
        return cls.progress is not Sink.progress
