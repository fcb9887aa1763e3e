"""Figures and lists that stand in more than one place agree: documents, code, budgets, packaging."""

import re
import tomllib

import pytest

from bridge import log, supervisor, verdicts
from bridge.admin import status
from bridge.amqp import exchanges
from bridge.bodies import tracing
from bridge.commands import policy, serve
from bridge.settings import SETTINGS
from bridge.sns import certificates, message
from bridge.sqs import receiver
from bridge.version import VERSION
from tests.tools.launch import ROOT
from tests.tools.rabbitmq import SUITES

DEFAULTS = {setting.variable: setting.default for setting in SETTINGS}
SIZES = tomllib.loads((ROOT / "build/size-budget.toml").read_text(encoding="utf-8"))
BRIDGE, SUM = "/bin/bridge", "sum of the files"
NUMBERS = {4: "four", 5: "five", 11: "eleven", 120: "two minutes"}


def text(document: str) -> str:
    """A document on one line."""
    return " ".join((ROOT / document).read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("SECURITY.md", f"More than {verdicts.LINES} refusals of one reason in a second"),
        ("SECURITY.md", f"has not turned for {supervisor.HUNG:g} s"),
        ("SECURITY.md", f"at most {certificates.MAX_WAITING} deliveries ({certificates.MAX_WAITING_FOR_ONE} for one name)"),
        ("SECURITY.md", f"in the last {NUMBERS[certificates.FRESH_FOR]}"),
        ("CHANGELOG.md", f"more than {message.MAX_PARTS:,} strings"),
        ("docs/architecture.md", f"more than {verdicts.LINES} of one reason in a second"),
        ("docs/bridge.service", f"WatchdogSec={supervisor.HUNG:g}"),
        ("docs/broker.md", f"remembered for {exchanges.REFUSED:g} s"),
        ("docs/broker.md", f"looked at {NUMBERS[round(1 / serve.TICK)]} times a second"),
        ("docs/reasons.md", f"tried again every {exchanges.REFUSED:g} s"),
        ("docs/reasons.md", f"at most {NUMBERS[certificates.FRESH_FOR]} before"),
        ("docs/messages.md", f"at most {tracing.MAX_MEMBERS} of them and {tracing.MAX_STATE} characters together"),
        ("docs/monitoring.md", f"when one has not for {status.STUCK:g} s"),
        ("docs/howto.md", f"its loop has not turned for {supervisor.HUNG:g} s"),
        ("docs/howto.md", f"did nothing for {supervisor.HUNG:g} s"),
        ("docs/howto.md", f"the file is tried {NUMBERS[round(1 / serve.TICK)]} times a second"),
        ("docs/howto.md", f"so on up to {NUMBERS[receiver.MAX_REFUSED // receiver.REFUSED]}"),
        ("docs/alerts.yaml", f"the default of BRIDGE_MAX_IN_FLIGHT is {DEFAULTS['BRIDGE_MAX_IN_FLIGHT']}"),
        ("docs/monitoring.md", f"The admin listener is on `{DEFAULTS['BRIDGE_ADMIN_LISTEN']}`"),
        ("README.md", f"<http://{DEFAULTS['BRIDGE_ADMIN_LISTEN']}/>"),
        ("README.md", f"serves on port {DEFAULTS['BRIDGE_LISTEN'].removeprefix(':')}"),
        ("README.md", f"**this image, eight files** | {SIZES['measured'][SUM]:,} |"),
        ("docs/size.svg", f"{SIZES['measured'][SUM]:,} bytes in 8 files"),
        ("README.md", f"of that, the executable (unpacked) | {SIZES['measured'][BRIDGE]:,} ("),
        ("README.md", f"| {SIZES['arm64']['measured'][SUM]:,} | `make image ARCH=arm64` |"),
    ],
)
def test_a_figure_in_a_document_is_the_codes(document, words):
    assert words in text(document)


def test_each_broker_of_the_tests_is_named_where_it_should_be():
    assert f"BROKERS = {' '.join(SUITES)}\n" in (ROOT / "tests/tools/broker.mk").read_text(encoding="utf-8")
    for version, suite in SUITES.items():
        assert f"| {version} | " in text("docs/supported.md") and f"from Debian {suite}" in text("docs/supported.md")
        assert f"`{version}`" in text("tests/README.md").partition("| `BROKER` |")[2]


def test_an_installation_has_every_package():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    assert set(packages) == {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "bridge").rglob("__init__.py")}


def test_the_version_is_the_same_everywhere():
    """A release changes it in bridge/version.py, and here."""
    for document in ("README.md", "docker/compose.yaml", "docker/kubernetes.yaml", "docs/howto.md", "build/publish.mk"):
        found = re.findall(r"(?:sns-to-rabbitmq-bridge:|sns_to_rabbitmq_bridge-|REPOSITORY:)([0-9][0-9.]*[0-9])", text(document))
        assert found and set(found) == {VERSION}, f"{document} names version {', '.join(found)}"


def test_the_log_knows_the_values_of_its_settings():
    forms = {setting.variable: setting.metavar for setting in SETTINGS}
    assert (forms["BRIDGE_LOG_LEVEL"], forms["BRIDGE_LOG_FORMAT"]) == ("|".join(log.LEVELS), "|".join(log.FORMATS))


def test_the_policy_lasts_an_hour_as_the_documents_say():
    assert 3500 < policy.seconds(policy.DELIVERY_POLICY["healthyRetryPolicy"]) <= 3600


def test_the_readme_names_as_many_files_as_the_image_has():
    files = [name for name in SIZES["measured"] if name.startswith("/")]
    assert len(files) == 8 and "FROM scratch, eight files" in text("README.md")
    assert not re.search(r"\b(?:seven|nine|ten) files", text("README.md"))
