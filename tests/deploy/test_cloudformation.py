"""docs/cloudformation.yaml and docs/terraform.tf: no mistake that cfn-lint knows, and they set what `bridge policy` prints."""

import json
import subprocess
from typing import Any

import yaml

from bridge.commands.policy import DELIVERY_POLICY, REDRIVE_POLICY
from tests.tools.bridge import ROOT

TOOLS = ROOT / ".venv-deploy/bin"
TEMPLATE = ROOT / "docs/cloudformation.yaml"


class Loader(yaml.SafeLoader):
    """Reads the short forms of CloudFormation's functions too: !Ref X is {"Ref": "X"}."""


def function(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {name: node.value}
    return {name: loader.construct_sequence(node, deep=True)}


Loader.add_multi_constructor("!", function)
RESOURCES = yaml.load(TEMPLATE.read_text(), Loader)["Resources"]


def test_cfn_lint_finds_nothing():
    done = subprocess.run([TOOLS / "cfn-lint", "--include-checks", "I", "--", TEMPLATE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_it_sets_what_the_bridge_prints():
    subscription = RESOURCES["Subscription"]["Properties"]
    assert subscription["DeliveryPolicy"] == DELIVERY_POLICY
    assert subscription["RedrivePolicy"].keys() == REDRIVE_POLICY.keys()
    assert subscription["RedrivePolicy"]["deadLetterTargetArn"] == {"GetAtt": "DeadLetters.Arn"}


def test_terraform_sets_the_same():
    done = subprocess.run([TOOLS / "hcl2tojson", ROOT / "docs/terraform.tf"], capture_output=True, text=True, check=True)

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name.strip('"'): plain(item) for name, item in value.items() if not name.startswith("__")}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.strip('"') if isinstance(value, str) else value

    read = plain(json.loads(done.stdout))
    assert read["locals"][0]["delivery_policy"] == DELIVERY_POLICY
    resources = {kind: one for resource in read["resource"] for kind, one in resource.items()}
    subscription = resources["aws_sns_topic_subscription"]["bridge"]
    assert subscription["delivery_policy"] == "${jsonencode(local.delivery_policy)}"
    assert "deadLetterTargetArn" in subscription["redrive_policy"]
    assert (subscription["protocol"], subscription["endpoint_auto_confirms"]) == ("https", True)
    (statement,) = read["data"][0]["aws_iam_policy_document"]["dead_letters"]["statement"]
    template = RESOURCES["DeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert statement["actions"] == [template["Action"]]
    assert statement["principals"][0]["identifiers"] == [template["Principal"]["Service"]]
    assert statement["condition"][0]["variable"] in template["Condition"]["ArnEquals"]
    assert resources["aws_sqs_queue"]["dead_letters"]["message_retention_seconds"] == 14 * 86400
