"""A broker and an SNS under the names and ports that the documentation uses; tests/deploy/alone.sh gives the network for it."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml

from bridge.simulate.certificates import Authority
from tests.contract.conftest import LOCALSTACK, running
from tests.tools.bridge import ROOT
from tests.tools.broker import Broker

ACCOUNT = "123456789012"
REGION = "eu-central-1"
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
SNS = COMPOSE["bridge"]["environment"]["BRIDGE_SNS_ENDPOINT"]
TOOLS = ROOT / ".venv-deploy/bin"
BRIDGE = {"source": ROOT / ".venv/bin/bridge", "binary": ROOT / "dist/bridge"}[os.environ.get("BRIDGE_UNDER_TEST", "source")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("BRIDGE_ALONE") != "1" or not LOCALSTACK.exists() or not TOOLS.exists():
        alone = pytest.mark.skip(reason="`make test-deploy` runs these, in a network of their own")
        for item in items:
            if item.path.is_relative_to(ROOT / "tests/docs"):
                item.add_marker(alone)


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    return Authority(folder, "docs")


@pytest.fixture(scope="session")
def documented_broker(authority: Authority, tmp_path_factory) -> Iterator[Broker]:
    """RabbitMQ on 5672 and, as docs/howto.md configures it, on 5671."""
    howto = (ROOT / "docs/howto.md").read_text()
    lines = howto.partition("```ini\n")[2].partition("```")[0].replace("listeners.ssl.default = 5671", "listeners.ssl.1 = 127.0.0.1:5671")
    files = authority.issue(tmp_path_factory.mktemp("server"), "broker.example.com")
    for name, path in (("ca.pem", authority.ca_file), ("server.pem", files.certificate), ("server.key", files.key)):
        assert f"/etc/rabbitmq/{name}" in lines
        lines = lines.replace(f"/etc/rabbitmq/{name}", str(path))
    with Broker(settings=f"listeners.tcp.2 = 127.0.0.1:5672\n{lines}", plugins=("rabbitmq_auth_mechanism_ssl",)) as broker:
        yield broker


@pytest.fixture(scope="session")
def sns_commands() -> Iterator[str]:
    """LocalStack with the environment that docker/compose.yaml gives it, on its own port."""
    settings = COMPOSE["localstack"]["environment"] | {
        "GATEWAY_LISTEN": "127.0.0.1:4566",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
    }
    with running([str(LOCALSTACK), "-m", "localstack.runtime.main"], SNS + "/_localstack/health", settings):
        yield SNS


@pytest.fixture
def topics(sns_commands: str) -> Iterator[dict[str, str]]:
    """The two topics of the documentation, new for each test."""
    own = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "test", "region_name": REGION}
    client = boto3.client("sns", endpoint_url=sns_commands, **own)
    arns = {name: client.create_topic(Name=name)["TopicArn"] for name in ("orders", "invoices")}
    assert arns["orders"] == f"arn:aws:sns:{REGION}:{ACCOUNT}:orders"
    yield arns
    for arn in arns.values():
        client.delete_topic(TopicArn=arn)


@pytest.fixture
def place(folder: Path, documented_broker: Broker, authority: Authority) -> Path:
    """The folder where a reader types: with the files and commands that the blocks name."""
    assert socket.gethostbyname("broker.example.com") == "127.0.0.1"
    commands = folder / "bin"
    commands.mkdir()
    (commands / "bridge").symlink_to(BRIDGE)
    aws = commands / "aws"  # version 1 takes an endpoint for SQS from nowhere else
    aws.write_text(f'#!/bin/sh\nexec {TOOLS}/aws --endpoint-url {SNS} "$@"\n')
    aws.chmod(0o755)
    environment = " ".join(f"{name}='{value}'" for name, value in documented_broker.environment.items())
    ctl = commands / "rabbitmqctl"
    ctl.write_text(f'#!/bin/sh\nexec env -i {environment} /usr/lib/rabbitmq/bin/rabbitmqctl -n {documented_broker.node} "$@"\n')
    ctl.chmod(0o755)
    listener = authority.issue(folder / "listener", "bridge.example.com")
    client = authority.issue(folder / "client", "bridge")
    copies = {
        "fullchain.pem": listener.certificate,
        "privkey.pem": listener.key,
        "ca.pem": authority.ca_file,
        "client.pem": client.certificate,
        "client.key": client.key,
    }
    for name, path in copies.items():
        (folder / name).write_bytes(path.read_bytes())
    return folder


def run_blocks(blocks: str, place: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run shell blocks as one script, with set -eu, within a minute; what it left in the background ends with it."""
    environment = {
        "PATH": f"{place}/bin:/usr/bin:/bin",
        "HOME": str(place),
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
        "BRIDGE_SNS_ENDPOINT": SNS,  # the two things that a reader with the real SNS and SQS does not set
        "BRIDGE_SQS_ENDPOINT": SNS,
    } | settings
    script = f"set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{blocks}"
    words = ["timeout", "--signal=TERM", "90", "bash", "-c", script]
    return subprocess.run(words, env=environment, cwd=place, capture_output=True, text=True, timeout=120, check=False)
