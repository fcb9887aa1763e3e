"""The container, run by podman with runc: the commands of promises.toml in each of its containers, health, signals, users."""

import re
import subprocess
import time

import pytest

from tests.conftest import StartBridge
from tests.image.archive import PROMISES, Image
from tests.tools import bridge as under_test
from tests.tools.ports import free_port

PODMAN = ("podman", "run", "--rm", "--pull", "never", "--runtime", "runc", "--network", "host")
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


def run(*options: str, arguments: tuple[str, ...] = (), entrypoint: str = "") -> subprocess.CompletedProcess[str]:
    replaced = ("--entrypoint", entrypoint) if entrypoint else ()
    return subprocess.run(
        [*PODMAN, *LIMITS, *options, *replaced, under_test.image(), *arguments], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("container", PROMISES["container"], ids=lambda container: container["name"])
@pytest.mark.parametrize("command", PROMISES["command"], ids=lambda command: command["name"])
def test_a_command(command: dict[str, object], container: dict[str, object]) -> None:
    if command.get("as_root") and not container.get("root"):
        pytest.skip("only root has a user to change")
    done = run(*container["options"], arguments=tuple(command["arguments"]), entrypoint=str(command.get("entrypoint", "")))  # type: ignore[misc, arg-type]
    assert done.returncode == command["exit"], done.stderr
    assert re.search(str(command["output"]), done.stdout + done.stderr)


def test_root_without_capabilities_is_told_so_and_does_not_go_on_as_root() -> None:
    done = run("--cap-drop", "ALL")
    assert done.returncode == 126
    assert "su-exec: bridge: not permitted" in done.stderr


NOT_READY = "not ready: 0 of 1 ready: broker-unavailable\n"


def test_it_serves_as_an_unprivileged_user_says_how_it_is_and_stops_in_order() -> None:
    """HEALTHCHECK's own words, run in the container: not ready without a broker, but alive."""
    check = Image().config["config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    port, name = free_port(), f"bridge-image-{free_port()}"
    settings = ("--env", f"BRIDGE_LISTEN=127.0.0.1:{port}", "--env", "BRIDGE_TOPICS=arn:aws:sns:eu-central-1:123456789012:orders")
    admin = ("--env", f"BRIDGE_ADMIN_LISTEN=127.0.0.1:{free_port()}")
    broker = ("--env", f"BRIDGE_AMQP_URL=amqp://127.0.0.1:{free_port()}/")
    process = subprocess.Popen(
        [*PODMAN, *LIMITS, "--name", name, "--read-only", *settings, *admin, *broker, under_test.image()], stdout=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while (done := subprocess.run(["podman", "exec", name, *check[1:]], capture_output=True, text=True)).stdout != NOT_READY:
            assert time.monotonic() < deadline and process.poll() is None, done
            time.sleep(0.2)
        assert done.returncode == 1
        alive = ["podman", "exec", "--env", "BRIDGE_ADMIN_LISTEN=off", name, *check[1:]]
        assert subprocess.run(alive, capture_output=True, text=True, check=True).stdout == "healthy\n"
        users = subprocess.run(["podman", "top", name, "user", "args"], capture_output=True, text=True, check=True).stdout
        assert re.search(r"^(bridge|65532)\s+/bin/bridge", users, re.M), users
        subprocess.run(["podman", "stop", "--time", "20", name], capture_output=True, check=True)
        assert process.wait(timeout=30) == 0
    finally:
        subprocess.run(["podman", "rm", "--force", name], capture_output=True)
    assert '"event": "stopped"' in (process.stdout.read() if process.stdout else "").replace('"event":"', '"event": "')


def test_podman_reads_what_was_written() -> None:
    wanted = Image().config["config"]
    command = ["podman", "inspect", "--format", "{{json .Config}}", under_test.image()]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert wanted["Labels"]["org.opencontainers.image.title"] in told.stdout
    assert "/bin/bridge" in told.stdout


def test_a_delivery_reaches_the_broker(start_bridge: StartBridge) -> None:
    assert under_test.UNDER_TEST == "image", "BRIDGE_UNDER_TEST=image"
    assert start_bridge().port
