"""TopicArn: its grammar, the list of allowed topics, and the SNS host that belongs to a topic. No sockets here."""

import re

from bridge.errors import TopicNotAllowed

# By partition: its DNS suffix, the name of its signing certificates, and the regions that are known to sign by it. Any other region, also
# a future one, may sign as "sns" at the suffix too. Sources: AWS general reference, "Service endpoints" (the suffixes);
# aws-sdk-java-v2, SnsHostProvider, 2026-03 (the names and the rule).
PARTITIONS = {
    "aws": (
        "amazonaws.com",
        "sns-signing.{}",
        "af-south-1 ap-east-1 ap-east-2 ap-south-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7"
        " ca-west-1 eu-central-2 eu-south-1 eu-south-2 il-central-1 me-central-1 me-south-1 mx-central-1",
    ),
    "aws-cn": ("amazonaws.com.cn", "sns-{}", "cn-north-1 cn-northwest-1"),
    "aws-us-gov": ("amazonaws.com", "sns-us-gov-west-1", "us-gov-east-1 us-gov-west-1"),
    "aws-eusc": ("amazonaws.eu", "sns-signing.{}", "eusc-de-east-1"),
    "aws-iso": ("c2s.ic.gov", "sns-{}", "us-iso-east-1"),
    "aws-iso-b": ("sc2s.sgov.gov", "sns-{}", "us-isob-east-1"),
    "aws-iso-e": ("cloud.adc-e.uk", "sns-signing.{}", "eu-isoe-west-1"),
    "aws-iso-f": ("csp.hci.ic.gov", "sns-signing.{}", "us-isof-east-1 us-isof-south-1"),
}

# The beginning of a region's name, "us-gov" of us-gov-east-1, gives its partition.
_PARTITION_OF = {
    known.rsplit("-", 2)[0]: name for name, (_suffix, _signer, regions) in PARTITIONS.items() if name != "aws" for known in regions.split()
}

# SNS API reference, CreateTopic: a name has 1 to 256 of these characters. FIFO topics can't have HTTP subscribers.
_ARN = re.compile(r"arn:([a-z-]{3,12}):sns:([a-z]{2,4}(?:-[a-z]{1,12}){1,3}-[0-9]{1,2}):([0-9]{12}):([A-Za-z0-9_-]{1,256})")
_PART = re.compile(r"[A-Za-z0-9_-]+|\*")


def partition_of(region: str) -> str:
    """Return the partition of a region, also of a future one, by the beginning that the partition's regions share; else "aws".

    Source: regionRegex in botocore's partitions.json: a beginning, then a word and a number.
    """
    return _PARTITION_OF.get(region.rsplit("-", 2)[0], "aws")


class TopicArn:
    """A standard topic's ARN, taken apart.

    `origin` is the https origin of the topic's SNS; `signers` are the names that its signing certificate may bear.
    """

    __slots__ = ("account", "arn", "name", "origin", "partition", "region", "signers")

    def __init__(self, arn: str) -> None:
        """Raises TopicNotAllowed when the text is not the ARN of a standard SNS topic."""
        match = _ARN.fullmatch(arn)
        if match is None or match[1] not in PARTITIONS:
            raise TopicNotAllowed("TopicArn is not the ARN of a standard SNS topic")
        self.arn = arn
        self.partition, self.region, self.account, self.name = match.groups()
        suffix, signer, regions = PARTITIONS[self.partition]
        host = f"sns.{self.region}.{suffix}"
        self.origin = f"https://{host}"
        self.signers = {host, f"{signer.format(self.region)}.{suffix}"}
        if self.region not in regions.split():
            self.signers.add(f"sns.{suffix}")


class TopicPattern:
    """An ARN in which `*` may stand for any whole part: `arn:aws:sns:*:123456789012:*`."""

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with what is wrong."""
        self.text = text
        self._parts = text.split(":")
        if len(self._parts) != 6 or self._parts[0] != "arn" or self._parts[2] != "sns":
            raise ValueError(f"{text!r} is not an SNS topic's ARN (arn:aws:sns:REGION:ACCOUNT:NAME)")
        for part in self._parts:
            if not _PART.fullmatch(part):
                raise ValueError(f"{text!r}: each part must be a name, or * alone")
        if "*" not in text:
            try:
                TopicArn(text)
            except TopicNotAllowed:
                raise ValueError(f"{text!r} is not a standard SNS topic's ARN (FIFO topics can't have HTTP subscribers)") from None

    def matches(self, topic: TopicArn) -> bool:
        """Tell whether the topic's ARN is this one, part by part."""
        parts = topic.arn.split(":")
        return all(pattern in ("*", part) for pattern, part in zip(self._parts, parts, strict=True))


def parse_patterns(text: str) -> list[TopicPattern]:
    """Return the patterns of a comma-separated list. Raises ValueError with what is wrong."""
    patterns = [TopicPattern(part.strip()) for part in text.split(",") if part.strip()]
    if not patterns:
        raise ValueError("names no topic")
    return patterns


def allowed(arn: str, patterns: list[TopicPattern]) -> TopicArn:
    """Return the topic of an ARN (str, as in the signed body). Raises TopicNotAllowed when no pattern matches."""
    topic = TopicArn(arn)
    if not any(pattern.matches(topic) for pattern in patterns):
        raise TopicNotAllowed("TopicArn is not in BRIDGE_TOPICS")
    return topic
