"""Sources and sinks for Freshet in Python.

A plugin is a program that ends with `serve(MySource, MySink)`; see README.md for what to write before that.
"""

from __future__ import annotations

from .batch import Batch, Reader, Record
from .builder import Changes
from .config import ConfigDef, Key, KeyType, Values
from .connector import Connector, Position, Settings, Sink, Source
from .errors import EndOfData, Fenced, Permanent, PluginError, RequestError, Retriable, Stopped, WireError
from .pb.plugin_pb2 import Raw
from .process import serve
from .schemas import ABSENT, UNAVAILABLE, Column, Interval, Kind, Moment, Op, Order, Schema, SchemaKind, Stream, Table, Topic, Type

__version__ = "0.1.0"

__all__ = [
    "ABSENT",
    "UNAVAILABLE",
    "Batch",
    "Changes",
    "Column",
    "ConfigDef",
    "Connector",
    "EndOfData",
    "Fenced",
    "Interval",
    "Key",
    "KeyType",
    "Kind",
    "Moment",
    "Op",
    "Order",
    "Permanent",
    "PluginError",
    "Position",
    "Raw",
    "Reader",
    "Record",
    "RequestError",
    "Retriable",
    "Schema",
    "SchemaKind",
    "Settings",
    "Sink",
    "Source",
    "Stopped",
    "Stream",
    "Table",
    "Topic",
    "Type",
    "Values",
    "WireError",
    "serve",
]
