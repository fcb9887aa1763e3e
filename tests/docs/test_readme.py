"""README.md: the compose walkthrough, and docker/compose.yaml itself.

Where no container engine runs, `docker` is a stand-in: the three services are started by hand, each with the environment that the compose
file gives it and under the name that it has there, and `docker compose exec SERVICE COMMAND` runs the command.
"""

import contextlib
import json
import subprocess

import pytest
import yaml

from bridge.version import VERSION
from tests.docs.conftest import COMPOSE, TOOLS, run_blocks
from tests.tools.bridge import ROOT, Bridge
from tests.tools.ports import wait_for

FILE = ROOT / "docker/compose.yaml"
README = (ROOT / "README.md").read_text()
WALKTHROUGH = "\n".join(line.strip() for line in README.partition('<a id="compose">')[2].split("\n\n")[1].splitlines()) + "\n"
DOCKER = """#!/bin/sh
case "$1 $2" in
"compose exec") shift 3; exec "$@" ;;
"compose up" | "load --input") exit 0 ;;
esac
echo "docker $*: not in the README's walkthrough" >&2
exit 1
"""


def test_the_compose_file_is_valid():
    done = subprocess.run([TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_podman_compose_reads_it():
    done = subprocess.run([TOOLS / "podman-compose", "-f", FILE, "config"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services.keys() == {"bridge", "localstack", "rabbitmq"}
    assert services["bridge"]["image"] == f"localhost/sns-to-rabbitmq-bridge:{VERSION}"
    assert services["bridge"]["read_only"] is True


@pytest.fixture
def services(documented_broker, sns_commands):
    """What `docker compose up` starts, and in the order that it keeps."""
    user = COMPOSE["rabbitmq"]["environment"]
    documented_broker.add_user(user["RABBITMQ_DEFAULT_USER"], user["RABBITMQ_DEFAULT_PASS"])
    with contextlib.ExitStack() as stack:
        stack.callback(documented_broker.ctl, "delete_user", user["RABBITMQ_DEFAULT_USER"])
        bridge = stack.enter_context(Bridge(BRIDGE_LISTEN=":3000", **COMPOSE["bridge"]["environment"]))
        bridge.wait_for("broker_connected")
        yield bridge
    documented_broker.delete(COMPOSE["bridge"]["environment"]["BRIDGE_QUEUE"])


def test_the_walkthrough(services, place, documented_broker):
    for name, text in (("docker", DOCKER), ("make", "#!/bin/sh\n"), ("awslocal", f'#!/bin/sh\nexec {TOOLS}/aws "$@"\n')):
        (place / "bin" / name).write_text(text)
        (place / "bin" / name).chmod(0o755)
    look = WALKTHROUGH.splitlines()[-1] + "\n"
    assert look.startswith("docker compose exec rabbitmq rabbitmqctl ")
    publish = next(line for line in WALKTHROUGH.splitlines() if " sns publish " in line)
    first, _, _ = WALKTHROUGH.partition(publish)
    own = {"AWS_ACCESS_KEY_ID": "test", "AWS_DEFAULT_REGION": "us-east-1"}  # as awslocal does it
    done = run_blocks(first, place, **own)
    assert done.returncode == 0, done.stderr
    services.wait_for("subscription_confirmed")
    done = run_blocks(publish, place, **own)
    assert done.returncode == 0, done.stderr
    wait_for("the message", lambda: documented_broker.count("orders") == 1)
    wait_for("the message in RabbitMQ's own figures, some seconds old", lambda: "orders\t1" in run_blocks(look, place).stdout, 60)
    (stored,) = documented_broker.take("orders")
    assert json.loads(stored.body)["Message"] == "hello"
