"""Partitions and offsets as JSON texts (package offsets of Freshet)."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple, Union


class _Number(str):
    """A number as it was written."""


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def canonical(partition: Union[str, Dict[str, Any]]) -> str:
    """A flat JSON object with its members sorted and without spaces, so that equal partitions are equal texts.

    Raises ValueError for anything else.
    """
    text = partition if isinstance(partition, str) else json.dumps(partition, ensure_ascii=False, allow_nan=False)
    text.encode()  # a surrogate is no text
    try:
        members = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant, object_pairs_hook=_Pairs)
    except RecursionError:
        raise ValueError(f"partition {text[:100]!r} nests") from None
    if not isinstance(members, _Pairs):
        raise ValueError(f"partition {text[:100]!r} is no JSON object")
    out = []
    for name, value in sorted(members, key=lambda m: m[0]):
        if isinstance(value, list):
            raise ValueError(f"partition {text[:100]!r}: member {name} is no string, number, boolean or null")
        out.append(f"{_quote(name)}:{_render(value)}")
    return "{" + ",".join(out) + "}"


class _Pairs(List[Tuple[str, Any]]):
    """The members of an object, in order."""


def _render(value: Any) -> str:
    if isinstance(value, _Number):
        return value
    return _quote(value) if isinstance(value, str) else json.dumps(value)


def offset_text(offset: Union[None, str, Dict[str, Any]]) -> str:
    """An offset as it is stored: a JSON object, members in their order; "" for None. Raises ValueError for anything else."""
    if offset is None or offset == "":
        return ""
    text = offset if isinstance(offset, str) else json.dumps(offset, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    check_offset(text)
    return text


def check_offset(text: str) -> None:
    """Raises ValueError for what is no JSON object."""
    try:
        text.encode()
        if text[:1] != "{" or not isinstance(json.loads(text, parse_constant=_no_constant), dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise ValueError(f"offset {text[:100]!r} is no JSON object") from None
