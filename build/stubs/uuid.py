# Random UUIDs (RFC 9562, version 4) are all that pika asks for.
import os


class UUID:
    def __init__(self, bytes):
        self.bytes = bytes
        self.hex = bytes.hex()

    def __str__(self):
        h = self.hex
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def uuid4():
    b = bytearray(os.urandom(16))
    b[6] = b[6] & 0x0F | 0x40
    b[8] = b[8] & 0x3F | 0x80
    return UUID(bytes(b))
