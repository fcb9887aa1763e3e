"""Finds the publishes and the renewed passwords in the bytes that an AMQP client sends. Source: AMQP 0-9-1 sections 4.2.2 and 4.2.3."""

import struct

GREETING = 8  # bytes of the protocol header that a client begins with
METHOD, HEADER, BODY = 1, 2, 3
PUBLISH = b"\x00\x3c\x00\x28"  # class basic, method publish
UPDATE_SECRET = b"\x00\x0a\x00\x46"  # class connection, method update-secret, which RabbitMQ has added
CLOSE = b"\x00\x0a\x00\x32"  # class connection, method close
FRAME_END = b"\xce"


class Frames:
    """Follows one connection, in whatever pieces its bytes come."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._greeted = False
        self._missing = -1  # bytes of the body under way; -1: none is
        self.renewals = 0  # number of update-secrets so far

    def feed(self, data: bytes) -> tuple[bool, bool]:
        """Return whether a publish began in these bytes, and whether one became whole (method, header and all of its body)."""
        self._data += data
        if not self._greeted and len(self._data) >= GREETING:
            del self._data[:GREETING]
            self._greeted = True
        begun = whole = False
        while self._greeted and len(self._data) >= 7:
            kind, _channel, size = struct.unpack_from(">BHI", self._data)
            if len(self._data) < size + 8:
                break
            began, ended = self._frame(kind, bytes(self._data[7 : 7 + size]))
            begun, whole = begun or began, whole or ended
            del self._data[: size + 8]
        return begun, whole

    def _frame(self, kind: int, payload: bytes) -> tuple[bool, bool]:
        if kind == METHOD and payload[:4] == PUBLISH:
            return True, False
        if kind == METHOD and payload[:4] == UPDATE_SECRET:
            self.renewals += 1
        if kind == HEADER:
            self._missing = int.from_bytes(payload[4:12], "big")
        elif kind == BODY and self._missing > 0:
            self._missing -= len(payload)
        else:
            return False, False
        ended = self._missing == 0
        if ended:
            self._missing = -1
        return False, ended


def closing(code: int, text: str) -> bytes:
    """The frame of a broker's connection.close with this reply-code and reply-text."""
    payload = CLOSE + struct.pack(">HB", code, len(text)) + text.encode() + bytes(4)
    return struct.pack(">BHI", METHOD, 0, len(payload)) + payload + FRAME_END
