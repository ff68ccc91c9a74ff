"""A source that subscribes to topics of an MQTT broker.

At least once: a message of QoS 1 or 2 is acknowledged to the broker when it is durable in every sink, and the broker, which keeps a
session for the client id, sends it again until then. So the broker knows where to go on, and no offset is stored. Messages of QoS 0 are as
good as the network.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from datetime import datetime, timezone
from typing import Any, Deque, Dict, List, Optional, Tuple

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from freshet_plugin import Changes, Column, ConfigDef, Key, KeyType, Order, Permanent, PluginError, Raw, Retriable, Source, Table, Type, Values

CONFIG = ConfigDef(
    Key("mqtt.host", required=True, importance="HIGH", doc="Host name of the broker."),
    Key("mqtt.port", KeyType.INT, default=1883, importance="HIGH", doc="Its port."),
    Key("mqtt.user", doc="User name, where the broker wants one."),
    Key("mqtt.password", KeyType.PASSWORD, doc="Its password."),
    Key("mqtt.topics", KeyType.LIST, required=True, importance="HIGH", doc="Topic filters to subscribe to, such as sensors/+/temperature."),
    Key("mqtt.client.id", required=True, doc="Names the session that the broker keeps: one for each connector."),
    Key("mqtt.qos", KeyType.INT, default=1, doc="0, 1 or 2.", check=lambda n: None if n in (0, 1, 2) else "0, 1 or 2 is expected"),
    Key("mqtt.unacknowledged.max", KeyType.INT, default=1000, doc="Messages that the broker sends ahead of what is durable.",
        check=lambda n: None if 0 < n < 65536 else "A number from 1 to 65535 is expected"),
    Key("payload", default="text", recommended=["text", "bytes"], closed=True, doc="What payloads are. Text must be UTF-8: errors.tolerance decides about a message that is not."),
    Key("mode", default="append", recommended=["append", "latest"], closed=True, doc="append: a row for each message; latest: one row for each topic."),
    Key("table", default="mqtt", doc="Name of the table, and of the topic where the sink has topics."),
)  # fmt: skip

EXPIRY = 7 * 24 * 3600  # seconds that the broker keeps the session of a source that is away
BATCH = 500
WAIT = 0.5  # seconds

# A message that comes again has another order, and sinks take the highest for the newest, so orders grow from task to task: they begin at the
# time in µs, or behind those that were set aside, when the clock was set back. A reset of the connector's offsets forgets these: with a clock
# that was set back, too, sinks that go by orders keep what they have until the time is where it was.
ORDERS = {"freshet": "orders"}
ASIDE = 1_000_000


def client(config: Values) -> mqtt.Client:
    """A client that acknowledges messages when it is told to."""
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, config["mqtt.client.id"], protocol=mqtt.MQTTv5, manual_ack=True)
    if config["mqtt.user"]:
        c.username_pw_set(config["mqtt.user"], config["mqtt.password"])
    return c


def unreachable(config: Values, e: Exception) -> Exception:
    """No broker answers, or not in time (queue.Empty has no text)."""
    return Retriable(f"connect to MQTT broker {config['mqtt.host']}:{config['mqtt.port']}: {str(e) or 'no answer'}; check mqtt.host and mqtt.port")


def refused(config: Values, reason: Any) -> Exception:
    """Why the broker does not let us in."""
    text = f"connect to MQTT broker {config['mqtt.host']}:{config['mqtt.port']}: {reason}"
    if reason.getName() in ("Bad user name or password", "Not authorized"):
        return Permanent(text + "; check mqtt.user and mqtt.password")
    return Retriable(text)


class MqttSource(Source):
    """Subscribes to topics of an MQTT broker."""

    class_name = "io.freshet.examples.MqttSource"
    aliases = ("MqttSource",)
    version = "0.1.0"
    config_def = CONFIG
    own_offsets = True

    @classmethod
    def connect(cls, config: Values) -> None:
        """Logs in, as another client, and out again."""
        answer: "queue.Queue[Any]" = queue.Queue()
        c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, config["mqtt.client.id"] + "-check", protocol=mqtt.MQTTv5)
        if config["mqtt.user"]:
            c.username_pw_set(config["mqtt.user"], config["mqtt.password"])
        c.on_connect = lambda c, data, flags, reason, properties: answer.put(reason)
        try:
            c.connect(config["mqtt.host"], config["mqtt.port"])
            c.loop_start()
            reason = answer.get(timeout=20)
        except (OSError, queue.Empty) as e:
            raise unreachable(config, e) from None
        finally:
            c.loop_stop()
            c.disconnect()
        if reason.is_failure:
            raise refused(config, reason)

    def start(self) -> None:
        text = self.config["payload"] == "text"
        latest = self.config["mode"] == "latest"
        columns = [
            Column("topic", Type.TEXT, optional=False),
            Column("payload", Type.TEXT if text else Type.BYTES),
            Column("qos", Type.INT16, optional=False),
            Column("retained", Type.BOOL, optional=False),
            Column("received_at", Type.TIMESTAMPTZ, optional=False),
        ]
        self.table = Table(self.config["table"], columns, key=["topic"] if latest else [])
        self.partition = {"mqtt": self.config["mqtt.client.id"]}
        self.session.offset(self.partition)  # so that a sink that keeps offsets takes the partition over
        aside = self.session.state(ORDERS)
        self.order = max(time.time_ns() // 1000, aside[0][1]["last"] if aside else 0)  # of the last message
        self.aside = 0  # the last order that no later task uses
        self.arrived: "queue.Queue[mqtt.MQTTMessage]" = queue.Queue()
        self.lock = threading.Lock()
        self.unacknowledged: Deque[Tuple[int, int, int]] = deque()  # order, message id and QoS
        self.failure: Optional[Exception] = None
        self.subscribed = threading.Event()
        self.client = client(self.config)
        self.client.on_connect, self.client.on_message = self.on_connect, self.on_message
        self.client.on_subscribe, self.client.on_disconnect = self.on_subscribe, self.on_disconnect
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = EXPIRY
        properties.ReceiveMaximum = self.config["mqtt.unacknowledged.max"]
        try:
            self.client.connect(self.config["mqtt.host"], self.config["mqtt.port"], clean_start=False, properties=properties)
        except OSError as e:
            raise unreachable(self.config, e) from None
        self.client.loop_start()
        while not self.subscribed.wait(0.1):
            if self.failure is not None:
                raise self.failure
            if self.stopping.is_set():
                return
        self.log.info("subscribed", extra={"topics": self.config["mqtt.topics"]})

    def on_connect(self, c: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self.failure = refused(self.config, reason)
            return
        c.subscribe([(t, mqtt.SubscribeOptions(qos=self.config["mqtt.qos"])) for t in self.config["mqtt.topics"]])

    def on_subscribe(self, c: mqtt.Client, data: Any, mid: int, reasons: List[Any], properties: Any) -> None:
        for topic, reason in zip(self.config["mqtt.topics"], reasons):
            if reason.is_failure:
                self.failure = Permanent(f"subscribe to {topic}: {reason}; check mqtt.topics")
        self.subscribed.set()

    def on_disconnect(self, c: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        # A new connection gets what was not acknowledged again, under other message ids: a new task does that in order.
        if not self.stopping.is_set() and self.failure is None:
            self.failure = Retriable(f"the MQTT broker ended the connection: {reason}")

    def on_message(self, c: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        self.arrived.put(message)  # bounded by mqtt.unacknowledged.max

    def poll(self) -> Optional[Changes]:
        if self.failure is not None:
            raise self.failure
        messages: List[mqtt.MQTTMessage] = []
        try:
            messages.append(self.arrived.get(timeout=WAIT))
            while len(messages) < BATCH:
                messages.append(self.arrived.get_nowait())
        except queue.Empty:
            pass
        if not messages:
            return None
        rows: List[Dict[str, Any]] = []
        now = datetime.now(timezone.utc)
        first = self.order + 1
        if self.order + len(messages) > self.aside:
            self.aside = self.order + len(messages) + ASIDE
            self.session.remember(ORDERS, {"last": self.aside})
        for m in messages:
            try:
                payload = self.payload(m, self.order + 1)
            except PluginError as e:
                self.failure = e  # of the next poll: what came before the message is sent
                break
            self.order += 1
            with self.lock:
                self.unacknowledged.append((self.order, m.mid, m.qos))
            if payload is not None:
                rows.append({"topic": m.topic, "payload": payload, "qos": m.qos, "retained": bool(m.retain), "received_at": now})
        if self.order < first:
            return None
        batch = self.batch(self.partition, {"message": self.order}, order=first)
        batch = batch.update(self.table, self.newest(rows)) if self.table.key else batch.insert(self.table, rows)
        batch.through = Order(1, self.order, 1)  # the last messages may have no row
        return batch

    def payload(self, m: mqtt.MQTTMessage, order: int) -> Any:
        """The payload for the table; None: it is none, which is tolerated."""
        if self.config["payload"] == "bytes":
            return m.payload
        try:
            return m.payload.decode()
        except UnicodeDecodeError:
            remedy = "set payload=bytes, leave the topic out of mqtt.topics, or leave such messages out with errors.tolerance=all"
            cause = Permanent(f"read a message of topic {m.topic}: its payload is not UTF-8; {remedy}")
            self.session.tolerate(Raw(topic=m.topic, offset=order, timestamp=int(time.time() * 1000), value=m.payload), cause)
            return None

    def newest(self, rows: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
        """The last row of each topic."""
        return list({r["topic"]: r for r in rows}.values())

    def commit(self, offsets: List[Tuple[Dict[str, Any], Dict[str, Any]]]) -> None:
        for partition, offset in offsets:
            if partition != self.partition:
                continue
            with self.lock:
                while self.unacknowledged and self.unacknowledged[0][0] <= offset["message"]:
                    _, mid, qos = self.unacknowledged.popleft()
                    if qos > 0:
                        self.client.ack(mid, qos)

    def stop(self) -> None:
        if hasattr(self, "client"):
            self.client.disconnect()
            self.client.loop_stop()
