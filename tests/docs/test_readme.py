"""README.md: "Run it", the compose walkthrough, and docker/compose.yaml itself.

"Run it" installs from the checkout with packages that were fetched before, because the test has no network; a proxy in front has the
certificate. `docker` is a replacement here (tests/engine has the real one, which takes longer): the three services are started by hand,
each with the environment and the name of the compose file, and `docker compose exec SERVICE COMMAND` runs the command.
"""

import contextlib
import json
import re
import subprocess

import pytest
import yaml

from bridge.version import VERSION
from tests.docs.conftest import COMPOSE, TOOLS, run_blocks
from tests.docs.test_howto import PUBLISH, until_in
from tests.tools.bridge import ROOT, Bridge
from tests.tools.checkout import copy_checkout
from tests.tools.ports import wait_for

FILE = ROOT / "docker/compose.yaml"
README = (ROOT / "README.md").read_text()
WALKTHROUGH = "\n".join(line.strip() for line in README.partition('<a id="compose">')[2].split("\n\n")[1].splitlines()) + "\n"
RUN_IT = "".join(line[4:] + "\n" for line in README.partition("## Run it")[2].partition("<a id=")[0].splitlines() if line[:4] == "    ")
SERVE = re.compile(r"^bridge  .*\n", re.MULTILINE)  # the line that runs until it is told to stop
PROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 15s
    timeout server 15s
frontend https
    bind 127.0.0.1:443 ssl crt {certificate}
    bind 127.0.0.1:{front}
    default_backend bridge
backend bridge
    server one 127.0.0.1:3000
"""
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


def test_run_it(place, topics, documented_broker, haproxy):
    """As it is written, except that the bridge runs in the background while it is subscribed."""
    copy_checkout(place / "checkout")
    (place / "amqp-password").write_text("a secret\n")
    documented_broker.add_user("bridge", "a secret")
    (place / "proxy.pem").write_bytes((place / "fullchain.pem").read_bytes() + (place / "privkey.pem").read_bytes())
    haproxy(PROXY, certificate=place / "proxy.pem")
    background = "bridge > ../bridge.log &\nuntil bridge healthcheck; do sleep 1; done\n"
    script, lines = SERVE.subn(background, RUN_IT)
    assert lines == 1
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(ROOT / ".venv-deploy/packages")}
    tls = {"BRIDGE_AMQP_CA_FILE": "ca.pem", "BRIDGE_AMQP_CERT": "client.pem", "BRIDGE_AMQP_KEY": "client.key"}  # of this broker
    settings = offline | {name: str(place / file) for name, file in tls.items()}
    until = "until grep subscription_confirmed ../bridge.log; do sleep 1; done\n"
    try:
        done = run_blocks(f"cd checkout\n{script}{until}{PUBLISH}{until_in('orders')}", place, **settings)
        log = (place / "bridge.log").read_text() if (place / "bridge.log").exists() else ""
        assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}\n{log[-1500:]}"
        (stored,) = documented_broker.take("orders")
        assert json.loads(stored.body)["Message"] == "hello"
    finally:
        documented_broker.ctl("delete_user", "bridge")
        documented_broker.delete("orders")


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
    for name, text in (("docker", DOCKER), ("make", "#!/bin/sh\n"), ("awslocal", '#!/bin/sh\nexec aws "$@"\n')):
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
