"""The configuration of a connector: its keys, what is wrong with values, and reading them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

HIDDEN = "[hidden]"


class KeyType(str, enum.Enum):
    """The type of a key, by Kafka Connect's names."""

    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    INT = "INT"
    SHORT = "SHORT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    LIST = "LIST"
    CLASS = "CLASS"
    PASSWORD = "PASSWORD"


_BITS = {KeyType.SHORT: 15, KeyType.INT: 31, KeyType.LONG: 63}
_PLAIN = (bool, int, float, str)


@dataclass
class Key:
    """A configuration key.

    `default` may be of the key's Python type. `recommended` are the values that a form offers, the only ones allowed (in any case) with
    `closed`. `check` returns what is wrong with a value (which has its type and is in the closed set), None or "" when it is right.
    """

    name: str
    type: KeyType = KeyType.STRING
    default: Any = None
    required: bool = False
    doc: str = ""
    importance: str = "MEDIUM"
    group: str = ""
    order: int = 0
    width: str = "MEDIUM"
    display: str = ""
    recommended: Sequence[str] = ()
    closed: bool = False
    dependents: Sequence[str] = ()
    check: Optional[Callable[[Any], Optional[str]]] = None
    prefix: bool = False  # a family: every name that starts with this one

    @property
    def default_text(self) -> Optional[str]:
        """The default as a user would write it; None: there is none."""
        d = self.default
        if d is None:
            return None
        if isinstance(d, bool):
            return "true" if d else "false"
        if isinstance(d, (list, tuple)):
            return ",".join(str(x).replace(",", "\\,") for x in d)
        if not isinstance(d, _PLAIN):
            raise TypeError(f"key {self.name}: a default of type {type(d).__name__}")
        return str(d)

    def read(self, text: str) -> Any:
        """A value in the Python type of the key. Raises ValueError with what is expected."""
        trimmed = text.strip()
        if self.type == KeyType.LIST:
            return split_list(text)
        if self.type in (KeyType.STRING, KeyType.PASSWORD, KeyType.CLASS):
            return text
        if not trimmed:
            return None
        if self.type == KeyType.BOOLEAN:
            if trimmed.lower() not in ("true", "false"):
                raise ValueError("Either true or false is expected")
            return trimmed.lower() == "true"
        if self.type == KeyType.DOUBLE:
            try:
                return float(trimmed)
            except ValueError:
                raise ValueError("A number is expected") from None
        digits = trimmed[1:] if trimmed[0] in "+-" else trimmed
        limit = 1 << _BITS[self.type]
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 40 or not -limit <= int(trimmed) < limit:
            raise ValueError("An integer is expected")
        return int(trimmed)

    def problem(self, text: Optional[str]) -> str:
        """What is wrong with a value (None: not given), "" when nothing is."""
        if text is None or self.required and not text.strip():
            return "A value is required" if self.required else ""
        try:
            value = self.read(text)
        except ValueError as e:
            return str(e)
        if self.closed and text.strip().lower() not in (r.lower() for r in self.recommended):
            return "Value must be one of " + ", ".join(self.recommended)
        if self.check is not None and value is not None:
            return self.check(value) or ""
        return ""


def split_list(text: str) -> List[str]:
    """Splits at commas that no backslash escapes, trims spaces and drops empty items."""
    items, item, i = [], "", 0
    while i < len(text):
        if text.startswith("\\,", i):
            item += ","
            i += 2
            continue
        if text[i] == ",":
            items.append(item)
            item = ""
        else:
            item += text[i]
        i += 1
    items.append(item)
    return [x.strip() for x in items if x.strip()]


@dataclass
class ConfigValue:
    """The validation result of one key; `value` is None for passwords, and where there is none."""

    name: str
    value: Optional[str] = None
    recommended: Sequence[str] = ()
    errors: List[str] = field(default_factory=list)
    passing: bool = False  # the errors may go away without another configuration


class ConfigDef:
    """The keys of a connector."""

    def __init__(self, *keys: Key) -> None:
        self.keys: Tuple[Key, ...] = keys
        names = [k.name for k in keys]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two keys are called {name}")

    def find(self, name: str) -> Optional[Key]:
        """The definition of a configured name, exact names before families (the longest)."""
        best: Optional[Key] = None
        for k in self.keys:
            if not k.prefix and k.name == name:
                return k
            if k.prefix and name.startswith(k.name) and (best is None or len(k.name) > len(best.name)):
                best = k
        return best

    def validate(self, config: Mapping[str, str]) -> List[ConfigValue]:
        """One result per key, and per configured member of a family."""
        pairs = [(k, k.name) for k in self.keys if not k.prefix]
        for name in sorted(config):
            found = self.find(name)
            if found is not None and found.prefix:
                pairs.append((found, name))
        out = []
        for k, name in pairs:
            given = config.get(name)
            shown = None if k.type == KeyType.PASSWORD else given if given is not None else k.default_text
            v = ConfigValue(name, shown, k.recommended)
            problem = k.problem(given)
            if problem:
                v.errors.append(f"The '{name}' value is invalid: {problem}")
            out.append(v)
        return out

    def values(self, config: Mapping[str, str]) -> "Values":
        """The reader of a configuration. Raises ValueError for one that is not valid."""
        for v in self.validate(config):
            if v.errors:
                raise ValueError(v.errors[0])
        return Values(self, dict(config))


class Values(Mapping[str, Any]):
    """A validated configuration: `config["port"]` is the value in the key's Python type, or the default; None when there is none."""

    def __init__(self, definition: ConfigDef, config: Dict[str, str]) -> None:
        self._definition = definition
        self.text = config  # as the user wrote it, with keys that the definition does not have

    def __getitem__(self, name: str) -> Any:
        key = self._definition.find(name)
        if key is None:
            raise KeyError(f"{name} is not in the ConfigDef")
        text = self.text.get(name)
        if text is None:
            text = key.default_text
        return key.read(text) if text is not None else None

    def __iter__(self) -> Iterator[str]:
        return (k.name for k in self._definition.keys if not k.prefix)

    def __len__(self) -> int:
        return sum(not k.prefix for k in self._definition.keys)

    def family(self, prefix: str) -> Dict[str, Any]:
        """The configured members of a family, by the rest of their names."""
        return {name[len(prefix) :]: self[name] for name in sorted(self.text) if name.startswith(prefix)}

    def __repr__(self) -> str:
        """Without passwords."""
        shown = {}
        for name in self:
            k = self._definition.find(name)
            shown[name] = HIDDEN if k is not None and k.type == KeyType.PASSWORD and self[name] is not None else self[name]
        return f"Values({shown})"


Problems = Union[None, Mapping[str, str]]
