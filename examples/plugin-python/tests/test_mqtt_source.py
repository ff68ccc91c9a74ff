"""The MQTT source against a mosquitto."""

import json
import time
import uuid

import paho.mqtt.client as mqtt
import pytest

from freshet_plugin import Permanent, Retriable


def publish(broker, *messages, qos=1, retain=False):
    """Publishes (topic, payload) pairs and returns when the broker has them."""
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    c.connect("127.0.0.1", broker.port)
    c.loop_start()
    try:
        for m in [c.publish(topic, payload, qos=qos, retain=retain) for topic, payload in messages]:
            m.wait_for_publish(60)
            assert m.is_published()
    finally:
        c.disconnect()
        c.loop_stop()


@pytest.fixture
def config(broker):
    prefix = uuid.uuid4().hex
    return {"mqtt.host": "127.0.0.1", "mqtt.port": str(broker.port), "mqtt.client.id": prefix, "mqtt.topics": prefix + "/#"}


def topic(config, name="a"):
    return f"{config['mqtt.client.id']}/{name}"


def numbers(records):
    return [int(r.after["payload"]) for r in records]


def orders(records):
    return [r.order.major for r in records]


def test_messages_become_rows(worker, broker, config):
    with worker.source("io.freshet.examples.MqttSource", config) as s:
        publish(broker, *[(topic(config), str(n)) for n in range(20)])
        got = s.take(20)
        first = orders(got)[0]
        assert numbers(got) == list(range(20)) and orders(got) == list(range(first, first + 20))
        row = got[0].after
        assert (row["topic"], row["qos"], row["retained"]) == (topic(config), 1, False) and row["received_at"].tzinfo is not None
        assert s.offsets == {'{"mqtt":"%s"}' % config["mqtt.client.id"]: '{"message":%d}' % (first + 19)}


def test_what_was_not_committed_comes_again(worker, broker, config):
    with worker.source("io.freshet.examples.MqttSource", config) as s:
        publish(broker, *[(topic(config), str(n)) for n in range(10)])
        assert numbers(s.take(10)) == list(range(10))
        s.commit()
        committed = dict(s.offsets)
        publish(broker, *[(topic(config), str(n)) for n in range(10, 15)])
        before = s.take(5)
        assert numbers(before) == [10, 11, 12, 13, 14]
    publish(broker, (topic(config), "15"))  # while nobody is there
    for _ in range(2):
        with worker.source("io.freshet.examples.MqttSource", config, remembered=s.remembered) as s:
            s.offsets.update(committed)  # as of a sink that keeps it: it says nothing of what comes now
            s.commit()
            got = s.take(6)
            assert numbers(got) == [10, 11, 12, 13, 14, 15] and orders(got)[0] > orders(before)[-1]
            before = got


def test_orders_grow_when_the_clock_goes_back(worker, broker, config):
    later = time.time_ns() // 1000 + 10**12
    with worker.source("io.freshet.examples.MqttSource", config, remembered={'{"freshet":"orders"}': '{"last":%d}' % later}) as s:
        publish(broker, (topic(config), "1"))
        assert orders(s.take(1)) == [later + 1]
        assert json.loads(s.remembered['{"freshet":"orders"}'])["last"] > later + 1


def test_more_than_the_broker_sends_ahead(worker, broker, config):
    config["mqtt.unacknowledged.max"] = "10"
    with worker.source("io.freshet.examples.MqttSource", config) as s:
        publish(broker, *[(topic(config), str(n)) for n in range(50)])
        got = []
        while len(got) < 50:
            got += numbers(s.take(1))
            s.commit()
        assert got == list(range(50))


def test_the_latest_of_each_topic(worker, broker, config):
    config["mode"] = "latest"
    with worker.source("io.freshet.examples.MqttSource", config) as s:
        publish(broker, (topic(config, "a"), "1"), (topic(config, "b"), "2"), (topic(config, "a"), "3"))
        latest = {}
        while latest != {"a": "3", "b": "2"}:
            for r in s.take(1):
                assert r.op.letter == "u" and r.key == {"topic": r.after["topic"]}
                latest[r.after["topic"].split("/")[1]] = r.after["payload"]


def test_payloads_of_bytes(worker, broker, config):
    with worker.source("io.freshet.examples.MqttSource", {**config, "payload": "bytes"}) as s:
        publish(broker, (topic(config), b"\xff\x00"))
        assert s.take(1)[0].after["payload"] == b"\xff\x00"


def test_a_payload_that_is_not_utf_8(worker, broker, config):
    with worker.source("io.freshet.examples.MqttSource", config) as s:
        s.refuse = Permanent
        publish(broker, (topic(config), "1"), (topic(config, "broken"), b"\xff\x00"), (topic(config), "2"))
        assert numbers(s.take(1)) == [1], "what came before it is sent"
        with pytest.raises(Permanent, match=f"read a message of topic {topic(config, 'broken')}: its payload is not UTF-8; set payload=bytes, .*errors.tolerance=all"):
            s.take(1)
        s.commit()
        remembered = s.remembered
    with worker.source("io.freshet.examples.MqttSource", config, remembered=remembered) as s:
        got = s.take(1)
        [letter] = s.letters
        assert numbers(got) == [2] and list(s.offsets.values()) == ['{"message":%d}' % (letter.offset + 1)]
        assert (letter.topic, letter.value) == (topic(config, "broken"), b"\xff\x00") and time.time() - letter.timestamp / 1000 < 60
        publish(broker, (topic(config, "broken"), b"\xfe"))
        b = s.poll()
        assert len(b) == 0 and b.offset["message"] == b.through.major == s.letters[1].offset > got[0].order.major, "a position"
        s.offsets[b.partition_text] = b.offset_text
        s.commit()
        publish(broker, (topic(config), "3"))
        assert numbers(s.take(1)) == [3]
        remembered = s.remembered
    with worker.source("io.freshet.examples.MqttSource", config, remembered=remembered) as s:
        assert numbers(s.take(1)) == [3] and not s.letters, "what was left out and committed does not come again"


def test_no_broker(worker, config):
    nobody = {**config, "mqtt.port": "1"}
    wrong = worker.validate("io.freshet.examples.MqttSource", nobody)
    assert list(wrong) == ["mqtt.host"] and "connect to MQTT broker 127.0.0.1:1" in wrong["mqtt.host"][0]
    assert worker.validate("io.freshet.examples.MqttSource", config) == {}
    with pytest.raises(Retriable, match="connect to MQTT broker 127.0.0.1:1: .*Connection refused; check"):
        worker.source("io.freshet.examples.MqttSource", nobody)


def test_a_lost_connection_begins_anew(worker, broker, config):
    with worker.source("io.freshet.examples.MqttSource", config) as s:
        # The broker lets one session of a client id live: this one takes it over.
        other = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, config["mqtt.client.id"], protocol=mqtt.MQTTv5)
        other.connect("127.0.0.1", broker.port, clean_start=False)
        other.loop_start()
        try:
            with pytest.raises(Retriable, match="ended the connection"):
                s.take(1)
        finally:
            other.disconnect()
            other.loop_stop()
