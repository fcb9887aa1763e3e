"""Every region of every AWS partition that botocore knows: its ARNs are read, and the names of its signing certificates are right.

The names are those of aws-sdk-java-v2, SnsHostProvider.signingCertCommonName (services-custom/sns-message-manager, 2026-03), retyped here
from there; SNS does not run in pseudo-regions such as "aws-global".
"""

import json
from pathlib import Path

import botocore
import pytest

from bridge.commands.verify import verify
from bridge.errors import CertificateNotValid
from bridge.simulate.certificates import Authority, leaf
from bridge.simulate.envelope import Signer, layout
from bridge.sns.certificates import certificate_source, check_certificate
from bridge.sns.signature import load_certificate
from bridge.sns.topic import PARTITIONS, TopicArn, partition_of
from tests.fuzz import forge

DOCUMENT = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_bytes())["partitions"]
REGIONS = {
    region: (partition["id"], partition["outputs"]["dnsSuffix"])
    for partition in DOCUMENT
    for region in partition["regions"]
    if not region.endswith("-global")
}
OPT_IN = """
    af-south-1 ap-east-1 ap-east-2 ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
    ca-west-1 eu-central-2 eu-south-1 eu-south-2 il-central-1 me-central-1 me-south-1 mx-central-1
"""
NAMES = {region: f"sns-signing.{region}.amazonaws.com" for region in OPT_IN.split()} | {
    "cn-north-1": "sns-cn-north-1.amazonaws.com.cn",
    "cn-northwest-1": "sns-cn-northwest-1.amazonaws.com.cn",
    "us-gov-west-1": "sns-us-gov-west-1.amazonaws.com",
    "us-gov-east-1": "sns-us-gov-west-1.amazonaws.com",
    "us-iso-east-1": "sns-us-iso-east-1.c2s.ic.gov",
    "us-isob-east-1": "sns-us-isob-east-1.sc2s.sgov.gov",
    "us-isof-east-1": "sns-signing.us-isof-east-1.csp.hci.ic.gov",
    "us-isof-south-1": "sns-signing.us-isof-south-1.csp.hci.ic.gov",
    "eu-isoe-west-1": "sns-signing.eu-isoe-west-1.cloud.adc-e.uk",
    "eusc-de-east-1": "sns-signing.eusc-de-east-1.amazonaws.eu",
}
UNKNOWN = {  # regions of tomorrow, by the pattern of their partition
    "us-east-9": ("aws", "amazonaws.com"),
    "foo-bar-1": ("aws", "amazonaws.com"),
    "cn-northwest-9": ("aws-cn", "amazonaws.com.cn"),
    "us-gov-central-1": ("aws-us-gov", "amazonaws.com"),
    "eusc-de-west-2": ("aws-eusc", "amazonaws.eu"),
    "us-iso-north-1": ("aws-iso", "c2s.ic.gov"),
    "us-isob-north-1": ("aws-iso-b", "sc2s.sgov.gov"),
    "eu-isoe-east-3": ("aws-iso-e", "cloud.adc-e.uk"),
    "us-isof-west-10": ("aws-iso-f", "csp.hci.ic.gov"),
}
ALL = REGIONS | UNKNOWN
FILE = f"SimpleNotificationService-{7:032x}.pem"


@pytest.mark.parametrize("region", ALL)
def test_a_region_belongs_to_its_partition(region):
    assert (partition_of(region), PARTITIONS[partition_of(region)][0]) == ALL[region]


def topic(region: str) -> TopicArn:
    return TopicArn(f"arn:{ALL[region][0]}:sns:{region}:123456789012:orders")


def expected(region: str) -> str:
    """The name by AWS's table; where it has none, "sns" at the partition's suffix, which is also its rule for unknown regions."""
    return NAMES.get(region, f"sns.{ALL[region][1]}")


def accepted(region: str, name: str) -> bool:
    encoded = name.encode()
    certificate = load_certificate(forge.certificate(subject=forge.common_name(encoded), extensions=forge.alternative_names(encoded)))
    try:
        check_certificate(certificate, topic(region), "", certificate.not_before)
    except CertificateNotValid:
        return False
    return True


def test_botocores_partitions_are_all_known_with_their_suffixes():
    assert {partition["id"]: partition["outputs"]["dnsSuffix"] for partition in DOCUMENT} == {
        name: suffix for name, (suffix, _, _) in PARTITIONS.items()
    }
    assert len(REGIONS) > 40 and set(NAMES) <= set(REGIONS)


@pytest.mark.parametrize("region", ALL)
def test_its_certificates_are_fetched_from_its_own_host(region):
    url = f"https://sns.{region}.{ALL[region][1]}/{FILE}"
    assert certificate_source(url, topic(region), "") == (url, FILE)


@pytest.mark.parametrize("region", ALL)
def test_a_certificate_of_the_name_in_awss_table_is_good(region):
    assert accepted(region, expected(region))


@pytest.mark.parametrize("region", ALL)
def test_the_name_of_the_host_itself_is_good(region):
    """SNS's guide names it; the certificates of af-south-1 bear it beside sns-signing."""
    assert accepted(region, f"sns.{region}.{ALL[region][1]}")


@pytest.mark.parametrize("region", sorted(set(ALL) - set(NAMES)))
def test_a_region_that_awss_table_does_not_name_may_sign_by_the_form_of_its_neighbours(region):
    """All regions that opened since 2019 do."""
    neighbours = {name for other, name in NAMES.items() if ALL[other] == ALL[region]}
    forms = {name.replace(other, region) for other, name in NAMES.items() if name in neighbours}
    assert any(accepted(region, name) for name in forms)


@pytest.mark.parametrize("region", ALL)
def test_the_names_of_all_other_regions_are_refused(region):
    own = {expected(region), f"sns.{region}.{ALL[region][1]}"}
    others = {expected(other) for other in ALL} | {f"sns.{other}.{suffix}" for other, (_, suffix) in ALL.items()}
    if region.startswith("us-gov-"):
        own.add(expected("us-gov-west-1"))
    wrongly = {name for name in others - own if accepted(region, name)}
    assert not wrongly


@pytest.mark.parametrize("region", ["us-east-1", "ap-southeast-7", "cn-north-1", "us-gov-east-1", "us-isob-east-1", "us-gov-central-1"])
def test_a_whole_message_is_genuine_there_and_forged_by_a_neighbours_certificate(tmp_path, region):
    """As serve and `bridge verify` judge it, with certificates made for it."""
    authority = Authority(tmp_path)
    for name, genuine in ((expected(region), True), ("sns-signing.eu-west-9.amazonaws.com", False)):
        files = authority.issue(tmp_path / "signing", name, rsa=True)
        (tmp_path / FILE).write_bytes(leaf(files))
        signer = Signer(files.key.read_bytes(), f"{topic(region).origin}/{FILE}", topic(region).origin)
        message = tmp_path / "message.json"
        message.write_bytes(layout(signer.notification(topic(region).arn, "hello", subject="About")))
        assert verify(["--certificates", str(tmp_path), str(message)]) == (0 if genuine else 1)


@pytest.mark.parametrize("name", ["sns.amazonaws.com", "sns-signing.us-gov-east-1.amazonaws.com", "sns-us-gov-east-1.amazonaws.com"])
def test_govcloud_signs_by_one_name(name):
    assert not accepted("us-gov-east-1", name)


def test_a_genuine_region_in_another_partition_has_the_hosts_of_that_partition():
    assert TopicArn("arn:aws-cn:sns:us-east-1:123456789012:t").origin == "https://sns.us-east-1.amazonaws.com.cn"
