# Seconds since 1970 of a UTC time tuple; the rest of the calendar is not in the binary.
import datetime

_EPOCH = datetime.date(1970, 1, 1).toordinal()


def timegm(tuple):
    year, month, day, hour, minute, second = tuple[:6]
    days = datetime.date(year, month, 1).toordinal() - _EPOCH + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second
