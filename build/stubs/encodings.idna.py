# Host names are ASCII here (an A-label is written xn--...). getaddrinfo() asks for this codec for every name.
import codecs


def encode(input, errors="strict"):
    for label in input.rstrip(".").split("."):
        if not 0 < len(label) < 64 and input:
            raise UnicodeEncodeError("idna", input, 0, len(input), "label empty or too long")
    return input.encode("ascii"), len(input)


def decode(input, errors="strict"):
    return bytes(input).decode("ascii"), len(input)


def getregentry():
    return codecs.CodecInfo(encode, decode, name="idna")
