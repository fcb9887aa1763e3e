"""README's commands with Docker, as they stand there, on Docker's own engine."""

import json
import time

import pytest

from bridge.version import VERSION
from tests.docs.test_readme import WALKTHROUGH
from tests.engine.conftest import Machine
from tests.tools.ports import wait_for

IMAGE = f"localhost/sns-to-rabbitmq-bridge:{VERSION}"
COMPOSE = "export COMPOSE_FILE=docker/compose.yaml\n"


def test_docker_loads_the_image_and_runs_it(machine: Machine) -> None:
    assert machine.run("docker load --input dist/image.tar") == f"Loaded image: {IMAGE}\n"
    assert machine.run(f"docker run --rm {IMAGE} su-exec bridge bridge --version").startswith(f"bridge {VERSION} (")


def test_the_hardest_settings_are_enough(machine: Machine) -> None:
    machine.run("docker load --input dist/image.tar")
    hard = "--read-only --cap-drop ALL --security-opt no-new-privileges --security-opt seccomp=docker/seccomp.json"
    for user in ("65532:65532", "12345:54321"):
        alone = f"--user {user} --memory 32m --network none --entrypoint /bin/bridge"
        assert "healthyRetryPolicy" in machine.run(f"docker run --rm {hard} {alone} {IMAGE} policy")


@pytest.fixture
def walked(machine: Machine, services: None):
    """The walkthrough up to its publish, typed as written; `make image` was made before. The rest of it."""
    machine.run("printf '#!/bin/sh\\n[ \"$*\" = image ]\\n' > /usr/local/bin/make && chmod 755 /usr/local/bin/make")
    publish = next(line for line in WALKTHROUGH.splitlines() if " sns publish " in line)
    before, _, after = WALKTHROUGH.partition(publish)
    try:
        machine.run(before)
        yield publish, after
    finally:
        machine.run(f"{COMPOSE}rm /usr/local/bin/make; docker compose down --volumes")


def test_the_walkthrough(machine: Machine, walked: tuple[str, str]) -> None:
    publish, look = walked
    confirmed = f"{COMPOSE}docker compose logs bridge | grep subscription_confirmed"
    try:
        wait_for("the subscription", lambda: machine.succeeds(confirmed), 30)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{machine.run(f'{COMPOSE}docker compose logs')[-5000:]}") from None
    machine.run(COMPOSE + publish)
    wait_for("the message in the queue", lambda: "orders\t1" in machine.run(COMPOSE + look), 60)
    states = [json.loads(line) for line in machine.run(f"{COMPOSE}docker compose ps --format json").splitlines()]
    assert {(state["Service"], state["Health"]) for state in states} == {(name, "healthy") for name in ("bridge", "localstack", "rabbitmq")}
    began = time.monotonic()
    machine.run(f"{COMPOSE}docker compose stop bridge")
    assert time.monotonic() - began < 9  # Docker kills after 10 s what does not end by itself
    (state,) = [json.loads(line) for line in machine.run(f"{COMPOSE}docker compose ps --all --format json bridge").splitlines()]
    assert state["ExitCode"] == 0


def test_make_run_takes_docker_where_there_is_no_podman(machine: Machine, walked: tuple[str, str]) -> None:
    """With the settings of the environment; the broker is the walkthrough's."""
    ask = "docker compose stop bridge; docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "
    address = machine.run(f"{COMPOSE}{ask} $(docker compose ps -q rabbitmq)").strip()
    settings = {
        "BRIDGE_TOPICS": "arn:aws:sns:us-east-1:000000000000:orders",
        "BRIDGE_AMQP_URL": f"amqp://bridge:local-only@{address}/%2F",
        "BRIDGE_QUEUE": "orders",
    }
    until = "until grep broker_connected /tmp/run.log; do sleep 0.2; done"
    stop = f"docker ps --quiet --filter ancestor={IMAGE} | xargs docker stop; wait; tail -1 /tmp/run.log"
    assert '"stopped"' in machine.run(f"/usr/bin/make run > /tmp/run.log 2>&1 & {until}; {stop}", **settings)
