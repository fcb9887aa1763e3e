"""The forms of MessageId and Timestamp, in a module of their own, where the build finds them as constants. No sockets here."""

import re

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_TIMESTAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"

UUID = re.compile(_UUID)
TIMESTAMP = re.compile(_TIMESTAMP)
UUID_AND_TIMESTAMP = re.compile(rf"{_UUID}\n{_TIMESTAMP}")  # one match is quicker than two
