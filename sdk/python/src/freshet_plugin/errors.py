"""Errors that decide what Freshet does next. An exception of any other class counts as Retriable."""

from __future__ import annotations


class PluginError(Exception):
    """The base of the errors below; its text is what an operator reads: what happened, where, and what to do."""


class Retriable(PluginError):
    """It may pass: the task begins again at the durable offset, after a pause."""


class Permanent(PluginError):
    """Trying again cannot mend it: the task is FAILED with this cause."""


class Fenced(PluginError):
    """Another owner took over: the task stops at once, writes nothing more and is not retried in place."""


class Stopped(PluginError):
    """The task is being stopped."""


class EndOfData(PluginError):
    """Raised by `poll` of a source that has ended for good: Freshet drains the sinks and then idles."""


class RequestError(PluginError):
    """The mistake of who asked; an API answers it as a bad request."""


class WireError(PluginError):
    """What came over the wire is no batch of the protocol."""
