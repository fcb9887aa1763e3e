"""QueueUrl: its grammar, and the region, account and ARN in it. No sockets here.

Sources: SQS developer guide, "Queue and message identifiers"; AWS general reference, "Amazon SQS endpoints and quotas"; botocore's
endpoints.json (its sslCommonName is the older host); LocalStack's documentation of SQS.
"""

import re
from collections.abc import Mapping

from bridge.sns.topic import partition_of

_FORM = re.compile(
    r"(https?://(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?)(?:/queue/[a-z0-9-]{1,40})?/([0-9]{12})/([A-Za-z0-9_-]{1,80})"
)
_NAME = "[a-z]{2,4}(?:-[a-z]{1,12}){1,3}-[0-9]{1,2}"
# Any other label of a host may look like a region: sqs-mock-1.default.svc.
_REGION = re.compile(rf"(?:\.sqs(?:-fips)?\.|/queue/)({_NAME})[.:/]|\.({_NAME})\.(?:queue|vpce)\.")
_OLDEST = ".queue.amazonaws.com"  # us-east-1's older host, without its region
MAX_QUEUES = 20


def default_region(environment: Mapping[str, str]) -> str:
    """Return the region that AWS's SDKs take from the environment, "" for none."""
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION", "")


class QueueURL:
    """A queue's URL, taken apart. `origin` is that of SQS."""

    __slots__ = ("account", "name", "origin", "region", "url")

    def __init__(self, url: str, region: str = "") -> None:
        """region is used when the URL names none; "" for none. Raises ValueError with what is wrong."""
        match = _FORM.fullmatch(url)
        if match is None:
            shown = repr(url) if "@" not in url else "a URL with a password"
            fifo = "; FIFO queues can't be pulled from, because FIFO topics are not supported" if url.endswith(".fifo") else ""
            raise ValueError(f"{shown} is not a queue's URL (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME){fifo}")
        place = f".{url.partition('://')[2].lower()}"
        if named := _REGION.search(place):
            region = named[1] or named[2]
        elif place.startswith((f"{_OLDEST}/", f"{_OLDEST}:")):
            region = "us-east-1"
        if not region:
            raise ValueError(f"{url!r} names no region; set AWS_REGION")
        self.url, self.region = url, region
        self.origin, self.account, self.name = match.groups()

    @property
    def arn(self) -> str:
        """The queue's ARN."""
        return f"arn:{partition_of(self.region)}:sqs:{self.region}:{self.account}:{self.name}"


def parse_queue_urls(text: str, region: str = "") -> list[QueueURL]:
    """Return the queues of a comma-separated list; region is used for a URL that names none. Raises ValueError with what is wrong."""
    queues = [QueueURL(part.strip(), region) for part in text.split(",") if part.strip()]
    if len({queue.url for queue in queues}) < len(queues):
        raise ValueError("names a queue twice")
    if len(queues) > MAX_QUEUES:
        raise ValueError(f"names more than {MAX_QUEUES} queues")
    return queues
