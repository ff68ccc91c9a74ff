from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Class(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RETRIABLE: _ClassVar[Class]
    PERMANENT: _ClassVar[Class]
    FENCED: _ClassVar[Class]

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE: _ClassVar[Kind]
    END: _ClassVar[Kind]
    CANCELLED: _ClassVar[Kind]
    STOPPED: _ClassVar[Kind]
    DEADLINE: _ClassVar[Kind]
RETRIABLE: Class
PERMANENT: Class
FENCED: Class
FAILURE: Kind
END: Kind
CANCELLED: Kind
STOPPED: Kind
DEADLINE: Kind

class Error(_message.Message):
    __slots__ = ("text", "request", "kind", "stage")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    text: str
    request: bool
    kind: Kind
    stage: str
    def __init__(self, text: _Optional[str] = ..., request: bool = ..., kind: _Optional[_Union[Kind, str]] = ..., stage: _Optional[str] = ..., **kwargs) -> None: ...

class Result(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: Error
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("connectors",)
    CONNECTORS_FIELD_NUMBER: _ClassVar[int]
    connectors: _containers.RepeatedCompositeFieldContainer[Description]
    def __init__(self, connectors: _Optional[_Iterable[_Union[Description, _Mapping]]] = ...) -> None: ...

class Description(_message.Message):
    __slots__ = ("aliases", "source", "sink", "version", "reference", "doc", "keys", "style", "own_offsets", "keeper", "from_topics", "own_records", "observed", "checks_keys", "checks_offsets", "owns_offsets", "resumes")
    CLASS_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    STYLE_FIELD_NUMBER: _ClassVar[int]
    OWN_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    KEEPER_FIELD_NUMBER: _ClassVar[int]
    FROM_TOPICS_FIELD_NUMBER: _ClassVar[int]
    OWN_RECORDS_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    CHECKS_KEYS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    OWNS_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    RESUMES_FIELD_NUMBER: _ClassVar[int]
    aliases: _containers.RepeatedScalarFieldContainer[str]
    source: bool
    sink: bool
    version: str
    reference: str
    doc: str
    keys: _containers.RepeatedCompositeFieldContainer[Key]
    style: int
    own_offsets: bool
    keeper: bool
    from_topics: bool
    own_records: bool
    observed: bool
    checks_keys: bool
    checks_offsets: bool
    owns_offsets: bool
    resumes: bool
    def __init__(self, aliases: _Optional[_Iterable[str]] = ..., source: bool = ..., sink: bool = ..., version: _Optional[str] = ..., reference: _Optional[str] = ..., doc: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[Key, _Mapping]]] = ..., style: _Optional[int] = ..., own_offsets: bool = ..., keeper: bool = ..., from_topics: bool = ..., own_records: bool = ..., observed: bool = ..., checks_keys: bool = ..., checks_offsets: bool = ..., owns_offsets: bool = ..., resumes: bool = ..., **kwargs) -> None: ...

class Key(_message.Message):
    __slots__ = ("name", "type", "default", "has_default", "required", "importance", "doc", "group", "order", "width", "display", "dependents", "recommended", "closed", "unsupported", "harmless", "prefix", "suffix", "not_null", "own", "alias", "invisible", "guarded")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    HAS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    DEPENDENTS_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDED_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    UNSUPPORTED_FIELD_NUMBER: _ClassVar[int]
    HARMLESS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    NOT_NULL_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    INVISIBLE_FIELD_NUMBER: _ClassVar[int]
    GUARDED_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    default: str
    has_default: bool
    required: bool
    importance: str
    doc: str
    group: str
    order: int
    width: str
    display: str
    dependents: _containers.RepeatedScalarFieldContainer[str]
    recommended: _containers.RepeatedScalarFieldContainer[str]
    closed: bool
    unsupported: str
    harmless: _containers.RepeatedScalarFieldContainer[str]
    prefix: bool
    suffix: bool
    not_null: bool
    own: bool
    alias: bool
    invisible: bool
    guarded: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., default: _Optional[str] = ..., has_default: bool = ..., required: bool = ..., importance: _Optional[str] = ..., doc: _Optional[str] = ..., group: _Optional[str] = ..., order: _Optional[int] = ..., width: _Optional[str] = ..., display: _Optional[str] = ..., dependents: _Optional[_Iterable[str]] = ..., recommended: _Optional[_Iterable[str]] = ..., closed: bool = ..., unsupported: _Optional[str] = ..., harmless: _Optional[_Iterable[str]] = ..., prefix: bool = ..., suffix: bool = ..., not_null: bool = ..., own: bool = ..., alias: bool = ..., invisible: bool = ..., guarded: bool = ...) -> None: ...

class ValidateRequest(_message.Message):
    __slots__ = ("sink", "config", "connect")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLASS_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FIELD_NUMBER: _ClassVar[int]
    sink: bool
    config: _containers.ScalarMap[str, str]
    connect: bool
    def __init__(self, sink: bool = ..., config: _Optional[_Mapping[str, str]] = ..., connect: bool = ..., **kwargs) -> None: ...

class ValidateResponse(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[ConfigValue]
    def __init__(self, values: _Optional[_Iterable[_Union[ConfigValue, _Mapping]]] = ...) -> None: ...

class ConfigValue(_message.Message):
    __slots__ = ("name", "value", "recommended", "errors", "long", "has_long", "visible", "passing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    LONG_FIELD_NUMBER: _ClassVar[int]
    HAS_LONG_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_FIELD_NUMBER: _ClassVar[int]
    PASSING_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    recommended: _containers.RepeatedScalarFieldContainer[str]
    errors: _containers.RepeatedScalarFieldContainer[str]
    long: _containers.RepeatedScalarFieldContainer[str]
    has_long: bool
    visible: bool
    passing: bool
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., recommended: _Optional[_Iterable[str]] = ..., errors: _Optional[_Iterable[str]] = ..., long: _Optional[_Iterable[str]] = ..., has_long: bool = ..., visible: bool = ..., passing: bool = ...) -> None: ...

class TasksRequest(_message.Message):
    __slots__ = ("sink", "config", "max")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLASS_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    sink: bool
    config: _containers.ScalarMap[str, str]
    max: int
    def __init__(self, sink: bool = ..., config: _Optional[_Mapping[str, str]] = ..., max: _Optional[int] = ..., **kwargs) -> None: ...

class TasksResponse(_message.Message):
    __slots__ = ("error", "tasks", "no_positions")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NO_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    error: Error
    tasks: _containers.RepeatedCompositeFieldContainer[TaskConfig]
    no_positions: bool
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[TaskConfig, _Mapping]]] = ..., no_positions: bool = ...) -> None: ...

class TaskConfig(_message.Message):
    __slots__ = ("config",)
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: _containers.ScalarMap[str, str]
    def __init__(self, config: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("partition", "offset")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    partition: str
    offset: str
    def __init__(self, partition: _Optional[str] = ..., offset: _Optional[str] = ...) -> None: ...

class OffsetsRequest(_message.Message):
    __slots__ = ("config", "settings", "entries", "all")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLASS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    config: _containers.ScalarMap[str, str]
    settings: Settings
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    all: bool
    def __init__(self, config: _Optional[_Mapping[str, str]] = ..., settings: _Optional[_Union[Settings, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., all: bool = ..., **kwargs) -> None: ...

class OffsetsResponse(_message.Message):
    __slots__ = ("error", "entries")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    error: Error
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class Settings(_message.Message):
    __slots__ = ("connector", "task", "sink", "group_id", "run_id", "version", "worker", "exactly_once", "shared", "keep_raw", "claim", "tolerant")
    class WorkerEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONNECTOR_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    EXACTLY_ONCE_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    KEEP_RAW_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    TOLERANT_FIELD_NUMBER: _ClassVar[int]
    connector: str
    task: int
    sink: str
    group_id: str
    run_id: str
    version: str
    worker: _containers.ScalarMap[str, str]
    exactly_once: bool
    shared: bool
    keep_raw: bool
    claim: str
    tolerant: bool
    def __init__(self, connector: _Optional[str] = ..., task: _Optional[int] = ..., sink: _Optional[str] = ..., group_id: _Optional[str] = ..., run_id: _Optional[str] = ..., version: _Optional[str] = ..., worker: _Optional[_Mapping[str, str]] = ..., exactly_once: bool = ..., shared: bool = ..., keep_raw: bool = ..., claim: _Optional[str] = ..., tolerant: bool = ..., **kwargs) -> None: ...

class OpenRequest(_message.Message):
    __slots__ = ("sink", "config", "settings", "window", "log_level")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLASS_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    LOG_LEVEL_FIELD_NUMBER: _ClassVar[int]
    sink: bool
    config: _containers.ScalarMap[str, str]
    settings: Settings
    window: int
    log_level: int
    def __init__(self, sink: bool = ..., config: _Optional[_Mapping[str, str]] = ..., settings: _Optional[_Union[Settings, _Mapping]] = ..., window: _Optional[int] = ..., log_level: _Optional[int] = ..., **kwargs) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("error", "claim")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    error: Error
    claim: str
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., claim: _Optional[str] = ...) -> None: ...

class Taken(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SourceOutput(_message.Message):
    __slots__ = ("batch", "error")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    batch: bytes
    error: Error
    def __init__(self, batch: _Optional[bytes] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ("up_to",)
    UP_TO_FIELD_NUMBER: _ClassVar[int]
    up_to: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, up_to: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class SinkInput(_message.Message):
    __slots__ = ("batch", "flush")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    batch: bytes
    flush: int
    def __init__(self, batch: _Optional[bytes] = ..., flush: _Optional[int] = ...) -> None: ...

class SinkOutput(_message.Message):
    __slots__ = ("taken", "released", "flushed", "error")
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    FLUSHED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    taken: int
    released: _containers.RepeatedScalarFieldContainer[int]
    flushed: int
    error: Error
    def __init__(self, taken: _Optional[int] = ..., released: _Optional[_Iterable[int]] = ..., flushed: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class ProgressRequest(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, partitions: _Optional[_Iterable[str]] = ...) -> None: ...

class ProgressResponse(_message.Message):
    __slots__ = ("error", "positions", "claim")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    error: Error
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    claim: str
    def __init__(self, error: _Optional[_Union[Error, _Mapping]] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., claim: _Optional[str] = ...) -> None: ...

class SetProgressRequest(_message.Message):
    __slots__ = ("positions",)
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    def __init__(self, positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("partition", "offset", "through")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    partition: str
    offset: str
    through: Order
    def __init__(self, partition: _Optional[str] = ..., offset: _Optional[str] = ..., through: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("epoch", "major", "minor")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MAJOR_FIELD_NUMBER: _ClassVar[int]
    MINOR_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    major: int
    minor: int
    def __init__(self, epoch: _Optional[int] = ..., major: _Optional[int] = ..., minor: _Optional[int] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("id", "ack", "reject", "settle", "fail", "retrying", "charge", "offsets", "reached", "anew", "state", "remember", "tolerate", "drain", "cancel", "observation", "sync", "claim")
    ID_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    REJECT_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    FAIL_FIELD_NUMBER: _ClassVar[int]
    RETRYING_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    REACHED_FIELD_NUMBER: _ClassVar[int]
    ANEW_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REMEMBER_FIELD_NUMBER: _ClassVar[int]
    TOLERATE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    id: int
    ack: Acks
    reject: Reject
    settle: Settle
    fail: Error
    retrying: Error
    charge: int
    offsets: Partitions
    reached: str
    anew: Mark
    state: Partitions
    remember: Entries
    tolerate: Tolerate
    drain: Drain
    cancel: int
    observation: Observation
    sync: Sync
    claim: str
    def __init__(self, id: _Optional[int] = ..., ack: _Optional[_Union[Acks, _Mapping]] = ..., reject: _Optional[_Union[Reject, _Mapping]] = ..., settle: _Optional[_Union[Settle, _Mapping]] = ..., fail: _Optional[_Union[Error, _Mapping]] = ..., retrying: _Optional[_Union[Error, _Mapping]] = ..., charge: _Optional[int] = ..., offsets: _Optional[_Union[Partitions, _Mapping]] = ..., reached: _Optional[str] = ..., anew: _Optional[_Union[Mark, _Mapping]] = ..., state: _Optional[_Union[Partitions, _Mapping]] = ..., remember: _Optional[_Union[Entries, _Mapping]] = ..., tolerate: _Optional[_Union[Tolerate, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., cancel: _Optional[int] = ..., observation: _Optional[_Union[Observation, _Mapping]] = ..., sync: _Optional[_Union[Sync, _Mapping]] = ..., claim: _Optional[str] = ...) -> None: ...

class Acks(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Reject(_message.Message):
    __slots__ = ("batch", "record", "cause")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    batch: int
    record: int
    cause: Error
    def __init__(self, batch: _Optional[int] = ..., record: _Optional[int] = ..., cause: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Settle(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Sync(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Partitions(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, partitions: _Optional[_Iterable[str]] = ...) -> None: ...

class Entries(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...

class Mark(_message.Message):
    __slots__ = ("partition", "sent")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    partition: str
    sent: int
    def __init__(self, partition: _Optional[str] = ..., sent: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("partitions", "sent")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedScalarFieldContainer[str]
    sent: int
    def __init__(self, partitions: _Optional[_Iterable[str]] = ..., sent: _Optional[int] = ...) -> None: ...

class Tolerate(_message.Message):
    __slots__ = ("raw", "cause")
    RAW_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    raw: Raw
    cause: Error
    def __init__(self, raw: _Optional[_Union[Raw, _Mapping]] = ..., cause: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Raw(_message.Message):
    __slots__ = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: _containers.RepeatedCompositeFieldContainer[RawHeader]
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., timestamp: _Optional[int] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., headers: _Optional[_Iterable[_Union[RawHeader, _Mapping]]] = ...) -> None: ...

class RawHeader(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("id", "error", "entries", "reached")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    REACHED_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: Error
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    reached: _containers.RepeatedCompositeFieldContainer[Reached]
    def __init__(self, id: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., reached: _Optional[_Iterable[_Union[Reached, _Mapping]]] = ...) -> None: ...

class Reached(_message.Message):
    __slots__ = ("sink", "through")
    SINK_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    sink: str
    through: Order
    def __init__(self, sink: _Optional[str] = ..., through: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("kind", "server", "connected", "log_end", "sent", "read", "held", "last_transaction", "position", "snapshot", "lost")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    LOG_END_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    LAST_TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    kind: str
    server: str
    connected: bool
    log_end: int
    sent: int
    read: int
    held: int
    last_transaction: str
    position: str
    snapshot: Snapshot
    lost: _containers.RepeatedCompositeFieldContainer[LostRange]
    def __init__(self, kind: _Optional[str] = ..., server: _Optional[str] = ..., connected: bool = ..., log_end: _Optional[int] = ..., sent: _Optional[int] = ..., read: _Optional[int] = ..., held: _Optional[int] = ..., last_transaction: _Optional[str] = ..., position: _Optional[str] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., lost: _Optional[_Iterable[_Union[LostRange, _Mapping]]] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("running", "completed", "tables", "remaining", "rows", "expected", "took")
    class RowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    TOOK_FIELD_NUMBER: _ClassVar[int]
    running: bool
    completed: bool
    tables: int
    remaining: int
    rows: _containers.ScalarMap[str, int]
    expected: int
    took: int
    def __init__(self, running: bool = ..., completed: bool = ..., tables: _Optional[int] = ..., remaining: _Optional[int] = ..., rows: _Optional[_Mapping[str, int]] = ..., expected: _Optional[int] = ..., took: _Optional[int] = ...) -> None: ...

class LostRange(_message.Message):
    __slots__ = ("to", "bytes", "text", "when")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WHEN_FIELD_NUMBER: _ClassVar[int]
    to: str
    bytes: int
    text: str
    when: int
    def __init__(self, to: _Optional[str] = ..., bytes: _Optional[int] = ..., text: _Optional[str] = ..., when: _Optional[int] = ..., **kwargs) -> None: ...
