"""The plugin under test, and an MQTT broker: a container of testdata/images, or a mosquitto that is installed."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]
SOURCES = ROOT / "sdk" / "python" / "src"
for path in (str(SOURCES), str(HERE)):
    if path not in sys.path:
        sys.path.insert(0, path)


@pytest.fixture
def worker():
    from freshet_plugin.testing import Worker

    with Worker([sys.executable, str(HERE / "plugin.py")], {"PYTHONPATH": str(SOURCES)}) as w:
        yield w


class Broker:
    """A running mosquitto. Stopping keeps nothing: sessions are in its memory."""

    def __init__(self, command, stop):
        self.port = free_port()
        self.command, self.stop_command = command(self.port), stop
        self.child = None

    def start(self):
        self.child = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"mosquitto does not start: {self.child.stdout.read()}") from None
                time.sleep(0.05)

    def stop(self):
        if self.child is None:
            return
        if self.stop_command:
            subprocess.run(self.stop_command, capture_output=True, timeout=60)
        self.child.kill()
        self.child.wait(60)
        self.child.stdout.close()
        self.child = None


def free_port():
    for _ in range(100):
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


@pytest.fixture(scope="session")
def broker():
    image = subprocess.run([str(ROOT / "testdata" / "images" / "images"), "get", "mosquitto"], capture_output=True, text=True, timeout=1200)
    if image.returncode == 0:
        name = f"freshet-mosquitto-{os.getpid()}"
        run = ["docker", "run", "--rm", "--name", name, "--network", "host", "--label", "freshet.testbed=mosquitto", image.stdout.strip()]
        listener = 'printf "listener %d 127.0.0.1\\nallow_anonymous true\\n" >/tmp/m.conf; exec $(command -v mosquitto || echo /usr/sbin/mosquitto) -c /tmp/m.conf'
        b = Broker(lambda port: [*run, "sh", "-c", listener % port], ["docker", "rm", "-f", name])
    elif shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists():
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        b = Broker(lambda port: [program, "-p", str(port)], None)
    else:
        text = "NOT RUN: there is neither a container engine nor a mosquitto"
        if os.environ.get("CI") == "true":
            pytest.fail(text + image.stderr)
        pytest.skip(text)
    try:
        yield b.start()
    finally:
        b.stop()
