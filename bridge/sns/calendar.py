"""The Gregorian calendar, as far as Timestamps and certificates need it. No sockets here."""

# Days before each month of a common year, and before the year after it.
_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
_EPOCH = 719162  # days from 0001-01-01 to 1970-01-01


def days_since_epoch(year: int, month: int, day: int) -> int:
    """Return the number of days from 1970-01-01 to a day (year from 1 on). Raises ValueError for a day that does not exist."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= _BEFORE[month] - _BEFORE[month - 1] + (leap and month == 2):
        raise ValueError("no day of the calendar")
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 - _EPOCH + _BEFORE[month - 1] + (leap and month > 2) + day - 1
