"""Timestamp: its form, and the Unix seconds that it stands for. No sockets here."""

import re

from bridge.errors import MalformedMessage

_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MAX_KNOWN = 1000

_known_minutes: dict[str, int] = {}


def is_timestamp(text: str) -> bool:
    """Tell whether a text has a Timestamp's form."""
    return _FORM.fullmatch(text) is not None


def unix_seconds(timestamp: str) -> int:
    """Return a Timestamp (YYYY-MM-DDThh:mm:ss.sssZ) as whole Unix seconds. Raises MalformedMessage for a day that is none."""
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
    days = _days_since_epoch(int(minute[:4]), int(minute[5:7]), int(minute[8:10]))
    hour, past = int(minute[11:13]), int(minute[14:])
    if hour > 23 or past > 59:
        raise MalformedMessage("Timestamp is no time of day")
    return days * 86400 + hour * 3600 + past * 60


def _days_since_epoch(year: int, month: int, day: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] + (leap and month == 2)):
        raise MalformedMessage("Timestamp is no day since 1970")
    before = year - 1
    years = before * 365 + before // 4 - before // 100 + before // 400 - 719162  # days from year 1 to 1970
    return years + sum(_DAYS[: month - 1]) + (leap and month > 2) + day - 1
