"""Keys, their values and what is wrong with them."""

import pytest

from freshet_plugin import ConfigDef, Key, KeyType
from freshet_plugin.config import split_list
from freshet_plugin.offsets import canonical, offset_text

KEYS = ConfigDef(
    Key("host", required=True),
    Key("port", KeyType.INT, default=1883),
    Key("small", KeyType.SHORT),
    Key("ratio", KeyType.DOUBLE, default=0.5),
    Key("on", KeyType.BOOLEAN, default=False),
    Key("topics", KeyType.LIST, default=["a,b", "c"]),
    Key("mode", default="fast", recommended=["fast", "safe"], closed=True),
    Key("password", KeyType.PASSWORD),
    Key("header.", prefix=True),
)


def test_values():
    v = KEYS.values({"host": "h", "header.x": "1", "on": " TRUE ", "other": "kept"})
    assert (v["host"], v["port"], v["small"], v["ratio"], v["on"], v["topics"], v["mode"]) == ("h", 1883, None, 0.5, True, ["a,b", "c"], "fast")
    assert v["password"] is None and v.family("header.") == {"x": "1"} and v.text["other"] == "kept"
    with pytest.raises(KeyError):
        v["nope"]
    assert "secret" not in repr(KEYS.values({"host": "h", "password": "secret"}))


@pytest.mark.parametrize(
    "config, problem",
    [
        ({}, "The 'host' value is invalid: A value is required"),
        ({"host": " "}, "The 'host' value is invalid: A value is required"),
        ({"host": "h", "port": "x"}, "The 'port' value is invalid: An integer is expected"),
        ({"host": "h", "port": "2147483648"}, "The 'port' value is invalid: An integer is expected"),
        ({"host": "h", "port": "1_0"}, "The 'port' value is invalid: An integer is expected"),
        ({"host": "h", "small": "32768"}, "The 'small' value is invalid: An integer is expected"),
        ({"host": "h", "ratio": "x"}, "The 'ratio' value is invalid: A number is expected"),
        ({"host": "h", "on": "yes"}, "The 'on' value is invalid: Either true or false is expected"),
        ({"host": "h", "mode": "slow"}, "The 'mode' value is invalid: Value must be one of fast, safe"),
    ],
)
def test_problems(config, problem):
    assert [e for v in KEYS.validate(config) for e in v.errors] == [problem]
    with pytest.raises(ValueError, match="value is invalid"):
        KEYS.values(config)


def test_passwords_are_not_shown():
    shown = {v.name: v.value for v in KEYS.validate({"host": "h", "password": "secret"})}
    assert shown["password"] is None and shown["port"] == "1883" and shown["topics"] == "a\\,b,c"


def test_lists():
    assert split_list(" a , b\\,c ,, ") == ["a", "b,c"] and split_list("") == []


def test_canonical_partitions():
    assert canonical({"b": 1, "a": "ż<"}) == '{"a":"ż<","b":1}'
    assert canonical(' { "b" : 1.50, "a":null, "c":true } ') == '{"a":null,"b":1.50,"c":true}'
    assert canonical({"a": "\u2028"}) == '{"a":"\\u2028"}'
    for bad in ("", "[]", "{", '{"a":[]}', '{"a":NaN}', '{"a":{}}', "1"):
        with pytest.raises(ValueError):
            canonical(bad)
    assert offset_text({"z": 1, "a": 2}) == '{"z":1,"a":2}' and offset_text(None) == ""
    for bad in ("[1]", " {}", "{", '{"a":NaN}'):
        with pytest.raises(ValueError):
            offset_text(bad)
