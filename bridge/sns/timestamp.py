"""A Timestamp's Unix seconds. No sockets here. Source: SNS developer guide, "Parsing Amazon SNS message formats"."""

from bridge.errors import MalformedMessage
from bridge.sns.calendar import days_since_epoch

MAX_KNOWN = 1000

_known_minutes: dict[str, int] = {}


def unix_seconds(timestamp: str) -> int:
    """Return a Timestamp, of the form that `is_timestamp` asks for, as whole Unix seconds.

    Raises MalformedMessage for a day or time that is none.
    """
    minute = timestamp[:16]
    start = _known_minutes.get(minute)
    if start is None:
        if len(_known_minutes) >= MAX_KNOWN:
            _known_minutes.clear()
        start = _known_minutes[minute] = _start_of(minute)
    second = int(timestamp[17:19])
    if second > 60:
        raise MalformedMessage("Timestamp is no time of day")
    return start + second


def _start_of(minute: str) -> int:
    try:
        days = days_since_epoch(int(minute[:4]), int(minute[5:7]), int(minute[8:10]))
    except ValueError:
        days = -1
    if days < 0:
        raise MalformedMessage("Timestamp is no day since 1970")
    hour, past = int(minute[11:13]), int(minute[14:])
    if hour > 23 or past > 59:
        raise MalformedMessage("Timestamp is no time of day")
    return days * 86400 + hour * 3600 + past * 60
