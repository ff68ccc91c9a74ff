"""The plugin: a source that subscribes to an MQTT broker, and a sink that keeps SQLite tables."""

from freshet_plugin import serve
from mqtt_source import MqttSource
from sqlite_sink import SqliteSink

if __name__ == "__main__":
    serve(MqttSource, SqliteSink)
