"""docs/howto.md: the bridge pulls on EKS, on ECS and at home, by the blocks as they are written.

IAM and ECS are moto's; the AWS CLI checks EKS's command against AWS's own model (--generate-cli-skeleton). `kubectl` is a replacement that
keeps the pod's environment, and the bridge runs in the environment that EKS or ECS gives a container. The agents that it asks stand at
their real addresses. The simulated SQS takes the credentials of these agents, and no others.
"""

import http.server
import json
import subprocess
import sys
import threading
import urllib.parse

import boto3
import pytest
import yaml

from bridge.commands.policy import iam_policy
from bridge.sqs.queue_url import QueueURL
from tests.contract.conftest import running
from tests.docs.conftest import REGION, TOOLS, run_blocks
from tests.docs.test_howto import SECTIONS, no_queues, until_in
from tests.tools.bridge import ROOT
from tests.tools.ports import free_port
from tests.tools.sqs import SQS

__all__ = ["no_queues"]

KEY, SECRET, TOKEN = "ASIAEXAMPLE1234567", "se/cret+key", "tok/en+" * 40
POD_TOKEN = "eyJhbGciOi.pod.identity"
PATH = "/v2/credentials/4c5ac8ee-9f3a-4c3b-9f6c-0d6b7f3d0a11"
URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders"
KUBECTL = """#!/bin/sh -eu
[ "$1 $2" = "--namespace sns-bridge" ] || exit 2
shift 2
case "$1 $2 $3" in
"set env deployment/bridge") shift 3; printf '%s\\n' "$@" >> {place}/pod.env ;;
"rollout status deployment/bridge") ;;
"exec deployment/bridge --") [ "$4" = /bin/bridge ]; shift 4; env -i $(cat {place}/pod.env) {place}/bin/bridge "$@" ;;
*) exit 2 ;;
esac
"""
AWS = """#!/bin/sh -eu
case "$1" in
iam|ecs) exec {tools}/aws --endpoint-url {moto} "$@" ;;
eks) exec {tools}/aws "$@" --generate-cli-skeleton output ;;
esac
exit 2
"""
STS = """<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}
</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>2099-01-02T03:04:05Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>""".replace("\n", "")


class Agent(http.server.BaseHTTPRequestHandler):
    """EKS's Pod Identity agent, ECS's agent, and STS."""

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = dict(urllib.parse.parse_qsl(body))
        known = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": "2099-01-02T03:04:05Z"}
        if self.path == PATH or (self.path == "/v1/credentials" and self.headers["Authorization"] == POD_TOKEN):
            answer = 200, json.dumps(known)
        elif form.get("WebIdentityToken") == POD_TOKEN and form["RoleArn"] == "arn:aws:iam::123456789012:role/sns-bridge":
            answer = 200, STS.format(KEY, SECRET, TOKEN)
        else:
            answer = 403, "{}"
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1].encode())

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def moto():
    origin = f"http://127.0.0.1:{(port := free_port())}"
    with running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], f"{origin}/moto-api/", {}):
        yield origin


def client(moto, service):
    return boto3.client(service, endpoint_url=moto, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture
def iam(moto):
    return client(moto, "iam")


@pytest.fixture
def agent():
    """agent(address): the agents at a link-local address of this network, which is our own."""
    servers = []

    def at(address):
        subprocess.run(["ip", "address", "replace", f"{address}/32", "dev", "lo"], check=True)
        server = http.server.ThreadingHTTPServer((address, 80), Agent)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    yield at
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def sqs(sns):
    with SQS() as sqs:
        assert sqs.url("orders") == URL
        sqs.send("orders", sns.notification("hello").body.decode())
        sqs.access = {KEY: (SECRET, TOKEN)}
        yield sqs


@pytest.fixture
def stand_ins(sns, sqs):
    """What a reader with the real SNS and SQS does not set."""
    return {"BRIDGE_SNS_ENDPOINT": sns.endpoint, "BRIDGE_CA_FILE": str(sns.ca_file), "BRIDGE_SQS_ENDPOINT": sqs.endpoint}


@pytest.fixture
def here(place, moto):
    """The folder where the reader types, with an `aws` and a `kubectl` for these blocks."""
    for name, text in (("aws", AWS.format(tools=TOOLS, moto=moto)), ("kubectl", KUBECTL.format(place=place))):
        (place / "bin" / name).write_text(text)
        (place / "bin" / name).chmod(0o755)
    return place


def pods(place, environment):
    """Write what is in the container's environment."""
    (place / "pod.env").write_text("".join(f"{name}={value}\n" for name, value in environment.items()))


def arrives(place, script, sqs, broker, **settings):
    """Run a script; then the message has come, and is deleted."""
    done = run_blocks(script + "\n" + until_in("orders"), place, **settings)
    log = (place / "bridge.log").read_text() if (place / "bridge.log").exists() else ""
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}\n{log[-1500:]}"
    (stored,) = broker.take("orders")
    assert json.loads(stored.body)["Message"] == "hello" and not sqs.bodies("orders")
    return done.stdout


RUNS = "env -i $(cat pod.env) bin/bridge > bridge.log &\n"


@pytest.mark.parametrize("kind", ["pod identity", "role of the service account"])
def test_on_eks(kind, here, agent, iam, sqs, stand_ins, documented_broker):
    agent("169.254.170.23")
    (here / "token").write_text(POD_TOKEN)
    documents = list(yaml.safe_load_all((ROOT / "docker/kubernetes.yaml").read_text()))
    configuration = next(one["data"] for one in documents if one["kind"] == "ConfigMap")
    configuration = {name: value for name, value in configuration.items() if not name.endswith("_FILE")}
    eks = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}
    eks |= {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(here / "token"), "AWS_REGION": REGION}
    if kind == "role of the service account":
        eks = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/sns-bridge", "AWS_WEB_IDENTITY_TOKEN_FILE": str(here / "token")}
        eks |= {"AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": "http://169.254.170.23"}
    broker = {"BRIDGE_AMQP_URL": "amqp://guest:guest@broker.example.com:5672/%2F"}
    pods(here, {**configuration, **broker, **eks, **stand_ins})
    told = arrives(here, SECTIONS["Pull on EKS"] + RUNS, sqs, documented_broker)
    assert f"queue {URL}: 1 messages wait" in told and "deleting is allowed" in told
    role = iam.get_role(RoleName="sns-bridge")["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert granted(iam) == iam_policy([QueueURL(URL)])


def test_on_ecs(here, agent, iam, moto, sqs, stand_ins, documented_broker):
    agent("169.254.170.2")
    ecs = client(moto, "ecs")
    ecs.create_cluster(clusterName="CLUSTER")
    ec2 = client(moto, "ec2")
    subnet, group = ec2.describe_subnets()["Subnets"][0]["SubnetId"], ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    script = SECTIONS["Pull on ECS"].replace("[SUBNET]", f"[{subnet}]").replace("[GROUP]", f"[{group}]")  # the reader's own
    done = run_blocks(script, here)
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert granted(iam) == iam_policy([QueueURL(URL)])
    [service] = ecs.describe_services(cluster="CLUSTER", services=["sns-bridge"])["services"]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    assert task["taskRoleArn"] == "arn:aws:iam::123456789012:role/sns-bridge"
    [container] = task["containerDefinitions"]
    own = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": PATH, "AWS_REGION": REGION}
    pods(here, {one["name"]: one["value"] for one in container["environment"]} | own | stand_ins)
    arrives(here, RUNS, sqs, documented_broker)


def test_at_home(here, iam, sqs, stand_ins, documented_broker):
    administrator, home = SECTIONS["Pull at home"].split("export AWS_SHARED_CREDENTIALS_FILE", 1)
    done = run_blocks(administrator, here)
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    file = here / "credentials"
    assert file.stat().st_mode & 0o777 == 0o600
    policy = iam.get_user_policy(UserName="sns-bridge", PolicyName="sns-to-rabbitmq-bridge")["PolicyDocument"]
    assert policy == iam_policy([QueueURL(URL)])
    key, secret = (line.partition(" = ")[2] for line in file.read_text().splitlines()[1:])
    assert key == iam.list_access_keys(UserName="sns-bridge")["AccessKeyMetadata"][0]["AccessKeyId"]
    sqs.access = {key: (secret, "")}
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    arrives(here, f"export AWS_SHARED_CREDENTIALS_FILE{home}", sqs, documented_broker, **none, **stand_ins)


def granted(iam):
    """The policy of the role, which is removed for the next test."""
    policy = iam.get_role_policy(RoleName="sns-bridge", PolicyName="sns-to-rabbitmq-bridge")["PolicyDocument"]
    iam.delete_role_policy(RoleName="sns-bridge", PolicyName="sns-to-rabbitmq-bridge")
    iam.delete_role(RoleName="sns-bridge")
    return policy
