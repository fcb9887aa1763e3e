"""Fixtures for every test that needs a broker, an SNS or a bridge.

folder        a new folder that any user can read (a container's, too); removed at the end
broker        one private RabbitMQ for the whole run: declare your own queue, never stop it
queue         a durable classic queue of this test alone, on `broker`
mortal_broker a private RabbitMQ that may be killed, frozen, blocked; it is restored for the next test
sns           a simulated SNS of this test alone
start_bridge  start_bridge(**settings) -> a running Bridge that publishes to `queue` on `broker` and trusts `sns`; stopped at
              the end, exit 0. What is started, source, binary or container, is chosen by BRIDGE_UNDER_TEST (tests/tools/bridge.py)
haproxy       haproxy(configuration, name=value, ...) starts one and returns its port, which the configuration has as {front}
"""

import contextlib
import logging
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from bridge.simulate.sns import SNS
from tests.tools import skips
from tests.tools.bridge import Bridge
from tests.tools.broker import Broker
from tests.tools.ports import free_port, listening, wait_for

signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, the run still stops what it started
logging.getLogger("pika").setLevel(logging.CRITICAL)  # the tools wait for brokers that are not there yet
# A commit is judged by the same examples each time; `make property` draws new ones.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("new", print_blob=True)
hypothesis.settings.load_profile("same")
StartBridge = Callable[..., Bridge]
BROKERS_OF_WORKERS: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rule", help="run the tests of this setting (BRIDGE_MAX_AGE) or reason (timestamp) alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--rule")
    if wanted:
        items[:] = [item for item in items if any(wanted in mark.args for mark in item.iter_markers("rule"))]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(skips.plugin(), "skips")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of pytest-xdist's workers: the controller writes the summary
        session.config.workeroutput["brokers"] = sorted(map(str, Broker.started))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    BROKERS_OF_WORKERS.update(getattr(node, "workeroutput", {}).get("brokers", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for one in sorted({*map(str, Broker.started), *BROKERS_OF_WORKERS}):
        terminalreporter.write_line(f"broker: {one}")


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="bridge-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with Broker(ipv6=True) as broker:
        yield broker


@pytest.fixture
def queue(broker: Broker) -> Iterator[str]:
    name = broker.declare(f"queue-{secrets.token_hex(4)}")
    yield name
    broker.delete(name)


@pytest.fixture(scope="session")
def _mortal_broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


@pytest.fixture
def mortal_broker(_mortal_broker: Broker) -> Iterator[Broker]:
    yield _mortal_broker
    _mortal_broker.mend()


@pytest.fixture
def sns(folder: Path) -> Iterator[SNS]:
    with SNS(folder / "sns") as sns:
        yield sns


def settings_for(sns: SNS, amqp_url: str, queue: str) -> dict[str, str]:
    """The settings that a bridge needs to publish what this SNS sends to this queue, by the default exchange."""
    return {
        "BRIDGE_TOPICS": sns.topic,
        "BRIDGE_SNS_ENDPOINT": sns.endpoint,
        "BRIDGE_CA_FILE": str(sns.ca_file),
        "BRIDGE_AMQP_URL": amqp_url,
        "BRIDGE_EXCHANGE": "",
        "BRIDGE_ROUTING_KEY": queue,
    }


@pytest.fixture
def start_bridge(sns: SNS, broker: Broker, queue: str) -> Iterator[StartBridge]:
    with contextlib.ExitStack() as started:

        def start(*arguments: str, connected: bool = True, wait: bool = True, **settings: str | None) -> Bridge:
            """A setting given as None is left out; connected=False does not wait for the broker, wait=False not even for the listener."""
            merged = {name: value for name, value in (settings_for(sns, broker.url, queue) | settings).items() if value is not None}
            bridge = Bridge(*arguments, **merged)
            started.push(bridge)
            bridge.start(wait)
            if connected and wait:
                bridge.wait_for("broker_connected")
            return bridge

        yield start


@pytest.fixture
def haproxy(folder: Path) -> Iterator[Callable[..., int]]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(configuration: str, **values: object) -> int:
        front = free_port()
        (folder / "haproxy.cfg").write_text(configuration.format(front=front, **values))
        processes.append(subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.cfg"], stderr=subprocess.DEVNULL))
        wait_for("haproxy", lambda: listening(front))
        return front

    yield start
    for process in processes:
        process.terminate()
        process.wait(10)
