"""The forms of MessageId and Timestamp. No sockets here."""

_HEX = bytes.maketrans(b"123456789abcdefABCDEF", b"0" * 21)
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


def is_uuid(text: str) -> bool:
    """Tell whether a text is a UUID, as every MessageId is."""
    return text.encode("ascii", "replace").translate(_HEX) == b"00000000-0000-0000-0000-000000000000"


def is_timestamp(text: str) -> bool:
    """Tell whether a text has a Timestamp's form, YYYY-MM-DDThh:mm:ss.sssZ."""
    return text.encode("ascii", "replace").translate(_DIGITS) == b"0000-00-00T00:00:00.000Z"
