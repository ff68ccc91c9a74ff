"""What data looks like: columns and tables, Connect schemas, and the streams that tie records to them.

A source declares a Table (rows with typed columns) or a Topic (records whose key and value have a Connect schema, or none). A sink
finds in every record the Stream that it belongs to. All of these are immutable once used: a changed table is a new object, and that
is how a sink learns of it, in order.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union


class Op(enum.IntEnum):
    """What happened to a row; `letter` is Debezium's."""

    NONE = 0  # a record that is no change of a row
    READ = 1  # of a snapshot
    CREATE = 2
    UPDATE = 3
    DELETE = 4
    TRUNCATE = 5
    MESSAGE = 6
    TOMBSTONE = 7

    @property
    def letter(self) -> str:
        return "-rcudtm0"[self]


class Kind(enum.IntEnum):
    """What a cell holds. Times are µs, dates days since 1970-01-01."""

    ABSENT = 0
    NULL = 1
    UNAVAILABLE = 2
    BOOL = 3
    INT = 4
    UINT = 5
    FLOAT32 = 6
    FLOAT64 = 7
    DECIMAL = 8
    TEXT = 9
    BYTES = 10
    DATE = 11
    TIME = 12
    TIMETZ = 13
    TIMESTAMP = 14
    TIMESTAMPTZ = 15
    INTERVAL = 16
    BITS = 17
    LIST = 18
    MAP = 19
    POINT = 20


class Type(enum.IntEnum):
    """The type of a column, whatever the database calls it."""

    OTHER = 0  # the database's own text form
    BOOL = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT64 = 5
    FLOAT32 = 6
    FLOAT64 = 7
    DECIMAL = 8
    MONEY = 9
    TEXT = 10
    BYTES = 11
    DATE = 12
    TIME = 13
    TIMETZ = 14
    TIMESTAMP = 15
    TIMESTAMPTZ = 16
    INTERVAL = 17
    UUID = 18
    JSON = 19
    XML = 20
    ENUM = 21
    BITS = 22
    LIST = 23
    MAP = 24
    POINT = 25
    RANGE = 26

    @property
    def kind(self) -> Kind:
        """The kind of the cells of such a column."""
        return _KINDS[self]


_KINDS = (
    Kind.TEXT,
    Kind.BOOL,
    Kind.INT,
    Kind.INT,
    Kind.INT,
    Kind.UINT,
    Kind.FLOAT32,
    Kind.FLOAT64,
    Kind.DECIMAL,
    Kind.DECIMAL,
    Kind.TEXT,
    Kind.BYTES,
    Kind.DATE,
    Kind.TIME,
    Kind.TIMETZ,
    Kind.TIMESTAMP,
    Kind.TIMESTAMPTZ,
    Kind.INTERVAL,
    Kind.TEXT,
    Kind.TEXT,
    Kind.TEXT,
    Kind.TEXT,
    Kind.BITS,
    Kind.LIST,
    Kind.MAP,
    Kind.POINT,
    Kind.TEXT,
)


class SchemaKind(enum.IntEnum):
    """The physical type of a Connect schema."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    FLOAT32 = 5
    FLOAT64 = 6
    BOOLEAN = 7
    STRING = 8
    BYTES = 9
    ARRAY = 10
    MAP = 11
    STRUCT = 12


@dataclass(eq=False)
class Schema:
    """A Connect schema; the same object for all records that have it. `name` and `version` are those of a logical type.

    For Python, values are: int, float, bool, str, bytes; list for ARRAY; dict for MAP, and for STRUCT by the names of its fields.
    """

    kind: SchemaKind
    optional: bool = False
    name: str = ""
    version: int = 0
    doc: str = ""
    parameters: List[Tuple[str, str]] = field(default_factory=list)
    default: Any = None
    fields: List[Tuple[str, "Schema"]] = field(default_factory=list)
    key: Optional["Schema"] = None
    elem: Optional["Schema"] = None

    @staticmethod
    def struct(name: str = "", fields: Optional[Dict[str, "Schema"]] = None, optional: bool = False) -> "Schema":
        """A STRUCT with these fields, in order."""
        return Schema(SchemaKind.STRUCT, optional, name, fields=list((fields or {}).items()))

    @staticmethod
    def array(elem: "Schema", optional: bool = False) -> "Schema":
        """An ARRAY of these elements."""
        return Schema(SchemaKind.ARRAY, optional, elem=elem)

    @staticmethod
    def map(key: "Schema", value: "Schema", optional: bool = False) -> "Schema":
        """A MAP."""
        return Schema(SchemaKind.MAP, optional, key=key, elem=value)


def _plain(kind: SchemaKind) -> Any:
    def make(optional: bool = False) -> Schema:
        return Schema(kind, optional)

    return make


INT8, INT16, INT32, INT64 = (_plain(k) for k in (SchemaKind.INT8, SchemaKind.INT16, SchemaKind.INT32, SchemaKind.INT64))
FLOAT32, FLOAT64 = _plain(SchemaKind.FLOAT32), _plain(SchemaKind.FLOAT64)
BOOLEAN, STRING, BYTES = (_plain(k) for k in (SchemaKind.BOOLEAN, SchemaKind.STRING, SchemaKind.BYTES))


@dataclass(eq=False)
class Column:
    """A column. `length` and `scale` are digits, characters or fractional digits, -1: not given (a DECIMAL: of any scale)."""

    name: str
    type: Type
    optional: bool = True
    type_name: str = ""  # as the database spells it: "numeric(10,2)"
    length: int = -1
    scale: int = -1
    default: str = ""
    allowed: Sequence[str] = ()  # members of an ENUM
    elem: Optional["Column"] = None  # of a LIST
    generated: bool = False
    comment: str = ""


@dataclass(eq=False)
class Table:
    """A table as a source has it, or a sink sees it. `key` names the columns of its key, in order.

    For a source, `topic` is where its rows go when the sink has topics ("": the name of the table with that of its schema). With
    `envelope`, records are changes as Debezium writes them (before, after, op, source); without, the value of a record is the row,
    and a delete has none.
    """

    name: str
    columns: List[Column]
    key: Sequence[str] = ()
    schema: str = ""
    catalog: str = ""
    comment: str = ""
    topic: str = ""
    envelope: bool = False

    def __post_init__(self) -> None:
        self.names = [c.name for c in self.columns]
        for k in self.key:
            if k not in self.names:
                raise ValueError(f"table {self.name}: its key column {k!r} is none of its columns")
        self.key_places = [self.names.index(k) for k in self.key]

    @property
    def id(self) -> str:
        """schema.name, catalog.name where there are no schemas, or the name alone."""
        return f"{self.schema or self.catalog}.{self.name}".lstrip(".")

    def column(self, name: str) -> Column:
        """The named column; KeyError when there is none."""
        for c in self.columns:
            if c.name == name:
                return c
        raise KeyError(name)


@dataclass(eq=False)
class Topic:
    """Where records go whose key and value are given as they are. A schema of None: values without schema (None, bool, int, float,
    str, bytes, list, dict)."""

    name: str
    key: Optional[Schema] = None
    value: Optional[Schema] = None


@dataclass(eq=False)
class Field:
    """How a member of a key or a row becomes a value of a Connect schema; `cell` is its place in the row."""

    name: str
    schema: Optional[Schema]
    cell: int
    view: int = 0
    scale: int = 0
    when_null: Any = None
    when_unavailable: Any = None
    elem: Optional["Field"] = None


@dataclass(eq=False)
class SourceField:
    """Where a member of the envelope's source block comes from: a constant where cell is -1, else a cell of the record."""

    constant: Any
    cell: int
    divide: int = 0
    multiply: int = 0


@dataclass(eq=False)
class SourceBlock:
    """The `source` member of an envelope."""

    schema: Optional[Schema]
    fields: List[SourceField]
    transaction: int = 0


@dataclass(eq=False)
class Stream:
    """What the records of one table or topic have in common. `table` is None for records that are no rows."""

    topic: str
    key: Optional[Schema] = None
    value: Optional[Schema] = None
    row: Optional[Schema] = None
    key_fields: List[Field] = field(default_factory=list)
    fields: List[Field] = field(default_factory=list)
    table: Optional[Table] = None
    source: Optional[SourceBlock] = None
    headers: List[Tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        width = max((f.cell + 1 for f in self.key_fields), default=0)
        names = [""] * width
        for f in self.key_fields:
            names[f.cell] = f.name
        self.key_names = names
        if self.table is not None:
            self.names = self.table.names
        else:
            names = [""] * max((f.cell + 1 for f in self.fields), default=0)
            for f in self.fields:
                names[f.cell] = f.name
            self.names = names

    @property
    def name(self) -> str:
        """The table, or the topic."""
        return self.table.id if self.table is not None else self.topic


class Order(NamedTuple):
    """A position that grows with the log of a source and is the same after a restart. Minor 0: of a snapshot, whose rows share one."""

    epoch: int = 0
    major: int = 0
    minor: int = 0


class Interval(NamedTuple):
    """Months, days and µs, each independent of the others."""

    months: int = 0
    days: int = 0
    micros: int = 0


class Moment(NamedTuple):
    """A date, time or timestamp that Python's datetime cannot hold: `value` in the unit of its kind (days, µs).

    The smallest and the largest 64-bit number are -infinity and infinity.
    """

    kind: Kind
    value: int

    @property
    def infinite(self) -> bool:
        return self.value in (-(1 << 63), (1 << 63) - 1)

    def __str__(self) -> str:
        if self.infinite:
            return "infinity" if self.value > 0 else "-infinity"
        if self.kind == Kind.DATE:
            return _civil(self.value)
        days, micros = divmod(self.value, 86_400_000_000)
        if self.kind == Kind.TIME:
            sign, micros = ("-", -self.value) if self.value < 0 else ("", self.value)
            return sign + _clock(micros)
        return f"{_civil(days)}T{_clock(micros)}" + ("Z" if self.kind == Kind.TIMESTAMPTZ else "")


def _clock(micros: int) -> str:
    seconds, micros = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{micros:06}" if micros else text


def _civil(days: int) -> str:
    """Days since 1970-01-01 as a proleptic Gregorian date with an astronomical year."""
    days += 719_468
    era, day = divmod(days, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day += 1 - (153 * month + 2) // 5
    month += 3 if month < 10 else -9
    year += 400 * era + (1 if month <= 2 else 0)
    return f"{year:05d}-{month:02}-{day:02}" if year < 0 else f"{year:04d}-{month:02}-{day:02}"


class _Marker:
    """A value that is none."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return self.name


#: The value exists, but the source did not send it (an unchanged TOAST value, a partial row image): leave the target's as it is.
UNAVAILABLE = _Marker("UNAVAILABLE")
#: The column is not part of the row's image.
ABSENT = _Marker("ABSENT")

Partition = Union[str, Dict[str, Any]]
