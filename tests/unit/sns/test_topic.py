"""TopicArn: its grammar, the list of allowed topics, and the SNS host of a topic."""

import pytest

from bridge.errors import TopicNotAllowed
from bridge.sns.topic import PARTITIONS, TopicArn, TopicPattern, allowed, parse_patterns

ARN = "arn:aws:sns:eu-central-1:123456789012:orders"


def test_an_arn_is_taken_apart():
    topic = TopicArn(ARN)
    assert (topic.arn, topic.partition, topic.region, topic.account, topic.name) == (ARN, "aws", "eu-central-1", "123456789012", "orders")


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "us-east-1", "sns.us-east-1.amazonaws.com"),
        ("aws", "ap-southeast-12", "sns.ap-southeast-12.amazonaws.com"),
        ("aws", "il-central-1", "sns.il-central-1.amazonaws.com"),
        ("aws-cn", "cn-north-1", "sns.cn-north-1.amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-west-1", "sns.us-gov-west-1.amazonaws.com"),
        ("aws-eusc", "eusc-de-east-1", "sns.eusc-de-east-1.amazonaws.eu"),
        ("aws-iso", "us-iso-east-1", "sns.us-iso-east-1.c2s.ic.gov"),
        ("aws-iso-b", "us-isob-east-1", "sns.us-isob-east-1.sc2s.sgov.gov"),
        ("aws-iso-e", "eu-isoe-west-1", "sns.eu-isoe-west-1.cloud.adc-e.uk"),
        ("aws-iso-f", "us-isof-south-1", "sns.us-isof-south-1.csp.hci.ic.gov"),
    ],
)
def test_each_partition_has_its_host(partition, region, host):
    assert TopicArn(f"arn:{partition}:sns:{region}:123456789012:t").origin == f"https://{host}"


def test_every_partition_of_the_table_is_tested_above():
    assert set(PARTITIONS) == {"aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"}


@pytest.mark.parametrize(
    "arn",
    [
        pytest.param("", id="empty"),
        pytest.param(ARN + ".fifo", id="FIFO topic"),
        pytest.param(ARN + "\n", id="newline at its end"),
        pytest.param("\n" + ARN, id="newline at its start"),
        pytest.param(ARN + " ", id="space"),
        pytest.param(ARN + ":0b5b5a5e-subscription", id="subscription's ARN"),
        pytest.param("arn:aws:sqs:eu-central-1:123456789012:orders", id="a queue"),
        pytest.param("arn:aws-xx:sns:eu-central-1:123456789012:orders", id="unknown partition"),
        pytest.param("ARN:aws:sns:eu-central-1:123456789012:orders", id="upper case"),
        pytest.param("arn:aws:sns:EU-CENTRAL-1:123456789012:orders", id="upper case region"),
        pytest.param("arn:aws:sns:evil.com/:123456789012:orders", id="a host as region"),
        pytest.param("arn:aws:sns:s3-us-west-2:123456789012:orders", id="the bucket's name as region"),
        pytest.param("arn:aws:sns:eu-central-1@evil-1:123456789012:orders", id="userinfo in region"),
        pytest.param("arn:aws:sns:eu-central-1.evil-1:123456789012:orders", id="dot in region"),
        pytest.param("arn:aws:sns::123456789012:orders", id="no region"),
        pytest.param("arn:aws:sns:eu-central-1:12345678901:orders", id="11 digits"),
        pytest.param("arn:aws:sns:eu-central-1:1234567890123:orders", id="13 digits"),
        pytest.param(f"arn:aws:sns:eu-central-1:{chr(0x661) * 12}:orders", id="digits of another script"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:", id="no name"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:" + "n" * 257, id="name of 257"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:ord&ers", id="& in the name"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:\u00f6rders", id="not ASCII"),
        pytest.param("arn:aws:sns:*:123456789012:orders", id="a pattern"),
    ],
)
def test_what_is_no_standard_topic_is_refused(arn):
    with pytest.raises(TopicNotAllowed):
        TopicArn(arn)
    with pytest.raises(TopicNotAllowed):
        allowed(arn, parse_patterns("arn:*:sns:*:*:*"))


def test_a_name_may_have_256_characters():
    assert TopicArn("arn:aws:sns:eu-central-1:123456789012:" + "n" * 256).name == "n" * 256


# ---- patterns


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (ARN, True),
        ("arn:aws:sns:*:123456789012:orders", True),
        ("arn:aws:sns:eu-central-1:*:orders", True),
        ("arn:aws:sns:eu-central-1:123456789012:*", True),
        ("arn:*:sns:*:*:*", True),
        ("arn:aws:sns:eu-central-1:123456789012:order", False),
        ("arn:aws:sns:eu-central-1:123456789012:orders2", False),
        ("arn:aws:sns:eu-central-1:123456789012:Orders", False),
        ("arn:aws:sns:eu-west-1:123456789012:*", False),
        ("arn:aws:sns:*:999999999999:*", False),
        ("arn:aws-cn:sns:*:*:*", False),
    ],
)
def test_a_star_stands_for_one_whole_part(pattern, matches):
    assert TopicPattern(pattern).matches(TopicArn(ARN)) is matches


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("*", id="a star for all"),
        pytest.param("arn:aws:sns:*", id="a star for the rest"),
        pytest.param("arn:aws:sns:eu-*:123456789012:orders", id="part of a part"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:orders*", id="prefix"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:**", id="two stars"),
        pytest.param("arn:aws:*:eu-central-1:123456789012:orders", id="any service"),
        pytest.param("*:aws:sns:eu-central-1:123456789012:orders", id="no arn"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:orders.fifo", id="FIFO"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:", id="empty part"),
        pytest.param("arn:aws:sns:eu-central-1:12345:orders", id="no account, no star"),
        pytest.param("arn:aws:sns:eu-central-1:123456789012:orders:more", id="seven parts"),
        pytest.param("orders", id="a name"),
    ],
)
def test_a_pattern_that_says_less_than_it_seems_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match="arn") as caught:
        TopicPattern(text)
    assert repr(text) in str(caught.value)


def test_a_list_is_comma_separated_with_room_for_spaces():
    patterns = parse_patterns(f" {ARN} , arn:aws:sns:*:123456789012:* ,")
    assert [pattern.text for pattern in patterns] == [ARN, "arn:aws:sns:*:123456789012:*"]


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_an_empty_list_names_no_topic(text):
    with pytest.raises(ValueError, match="names no topic"):
        parse_patterns(text)


def test_a_topic_is_allowed_when_any_pattern_matches():
    patterns = parse_patterns("arn:aws:sns:us-east-1:111111111111:a,arn:aws:sns:*:222222222222:*")
    assert allowed("arn:aws:sns:eu-west-1:222222222222:b", patterns).name == "b"
    with pytest.raises(TopicNotAllowed, match="BRIDGE_TOPICS"):
        allowed("arn:aws:sns:us-east-1:111111111111:b", patterns)
