"""Timestamp: its form, and the Unix seconds that it stands for. No sockets here."""

import re

from bridge.errors import MalformedMessage

_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MAX_KNOWN = 1000

_known_days: dict[str, int] = {}


def is_timestamp(text: str) -> bool:
    """Tell whether a text has a Timestamp's form."""
    return _FORM.fullmatch(text) is not None


def unix_seconds(timestamp: str) -> int:
    """Return a Timestamp (YYYY-MM-DDThh:mm:ss.sssZ) as whole Unix seconds. Raises MalformedMessage for a day that is none."""
    day = timestamp[:10]
    days = _known_days.get(day)
    if days is None:
        if len(_known_days) >= MAX_KNOWN:
            _known_days.clear()
        days = _known_days[day] = _days_since_epoch(int(day[:4]), int(day[5:7]), int(day[8:]))
    hour, minute, second = int(timestamp[11:13]), int(timestamp[14:16]), int(timestamp[17:19])
    if hour > 23 or minute > 59 or second > 60:
        raise MalformedMessage("Timestamp is no time of day")
    return days * 86400 + hour * 3600 + minute * 60 + second


def _days_since_epoch(year: int, month: int, day: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] + (leap and month == 2)):
        raise MalformedMessage("Timestamp is no day since 1970")
    before = year - 1
    years = before * 365 + before // 4 - before // 100 + before // 400 - 719162  # days from year 1 to 1970
    return years + sum(_DAYS[: month - 1]) + (leap and month > 2) + day - 1
