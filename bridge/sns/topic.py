"""TopicArn: its grammar, the list of allowed topics, and the SNS host that belongs to a topic. No sockets here."""

import re

from bridge.errors import TopicNotAllowed

# The DNS suffix of each AWS partition (AWS general reference, "Service endpoints").
SUFFIXES = {
    "aws": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-us-gov": "amazonaws.com",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
}

# SNS API reference, CreateTopic: a name has 1 to 256 of these characters. FIFO topics can't have HTTP subscribers.
_ARN = re.compile(r"arn:([a-z-]{3,12}):sns:([a-z]{2,4}(?:-[a-z]{1,12}){1,3}-[0-9]{1,2}):([0-9]{12}):([A-Za-z0-9_-]{1,256})")
_PART = re.compile(r"[A-Za-z0-9_-]+|\*")


class TopicArn:
    """An allowed topic's name, taken apart. `origin` is the https origin of the SNS that it lives in."""

    __slots__ = ("account", "arn", "name", "origin", "partition", "region", "signers", "suffix")

    def __init__(self, arn: str) -> None:
        match = _ARN.fullmatch(arn)
        if match is None or match[1] not in SUFFIXES:
            raise TopicNotAllowed("TopicArn is not the ARN of a standard SNS topic")
        self.arn = arn
        self.partition, self.region, self.account, self.name = match.groups()
        self.suffix = SUFFIXES[self.partition]
        self.origin = f"https://sns.{self.region}.{self.suffix}"
        hosts = "sns", f"sns.{self.region}", f"sns-signing.{self.region}"
        self.signers = frozenset(("sns.amazonaws.com", *(f"{host}.{self.suffix}" for host in hosts)))  # names a certificate may bear


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
                raise ValueError(f"{text!r}: a part is a name, or * for any (not a part of one)")
        if "*" not in text:
            try:
                TopicArn(text)
            except TopicNotAllowed:
                raise ValueError(f"{text!r} is not a standard SNS topic's ARN (FIFO topics can't have HTTP subscribers)") from None

    def matches(self, topic: TopicArn) -> bool:
        """Tell whether the topic's ARN is this one, part by part."""
        parts = topic.arn.split(":")
        return all(mine in ("*", theirs) for mine, theirs in zip(self._parts, parts, strict=True))


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
