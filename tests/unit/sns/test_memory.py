"""The memory that parsing a body takes is bounded, whatever it holds. It is measured in processes of their own.

For each body one child only reads the file, and another one parses it too; the kernel tells the highest resident memory of each.
"""

import subprocess
import sys

import pytest

from tests.tools.launch import ROOT

MIB = 1 << 20
SIZE = 2 * MIB  # BRIDGE_MAX_BODY
UNCOUNTED = 280_000  # bytes of a body in which nothing is counted
HEAD = b"""{"Type":"Notification","MessageId":"c0e5a280-53c9-5a98-93bb-c0a560b3d192","Timestamp":"2026-03-06T19:55:38.903Z",\
"TopicArn":"arn:aws:sns:us-west-2:123456789012:orders","SignatureVersion":"1","SigningCertURL":"","Signature":"\""""
PLAIN = HEAD + b',"Message":"hello"'
EMOJI = "\U0001f600".encode()
WITH_EMOJI = PLAIN + b',"b":"' + EMOJI + b'"'


def listed(unit, size=SIZE, start=PLAIN):
    start += b',"a":['
    return start + b",".join([unit] * ((size - len(start) - 2) // (len(unit) + 1))) + b"]}"


def members(size=SIZE, start=PLAIN, value=b"1.5"):
    return start + b"".join(b',"%05x":%b' % (number, value) for number in range((size - len(start) - 2) // (9 + len(value)))) + b"}"


def attributes(size=SIZE):
    many = b",".join(b'"%05x":{"Type":"String","Value":"v"}' % number for number in range((size - len(PLAIN) - 40) // 39))
    return PLAIN + b',"MessageAttributes":{' + many + b"}}"


def text(unit, last=b""):
    return HEAD + b',"Message":"' + unit * ((SIZE - len(HEAD) - len(last) - 20) // len(unit)) + last + b'"}'


UNITS = [b"[]", b"{}", b'{"":0}', b"[0]", b"[[]]", b'"ab"', b'"abcdefgh"', b"1.5", b"12345", b"-1e99", b"true"]
BODIES = {
    **{f"2 MiB of {unit.decode()}": listed(unit) for unit in UNITS},
    **{f"280 kB of {unit.decode()}": listed(unit, UNCOUNTED) for unit in UNITS},
    **{f"280 kB of {unit.decode()} and an emoji": listed(unit, UNCOUNTED, WITH_EMOJI) for unit in UNITS},
    "2 MiB of {} and an emoji": listed(b"{}", start=WITH_EMOJI),
    "2 MiB of members": members(),
    "280 kB of members": members(UNCOUNTED),
    "280 kB of members and an emoji": members(UNCOUNTED, WITH_EMOJI),
    "2 MiB of attributes": attributes(),
    "280 kB of attributes": attributes(UNCOUNTED),
    "9,900 objects": listed(b'{"":0}', 9_900 * 7),
    "19,000 members and a long text": members(19_000 * 12)[:-1] + b',"b":"' + b"x" * 1_800_000 + b'"}',
    "a Message of 2 MiB": text(b"x"),
    "a Message of 2 MiB with escapes": text(rb"x\n"),
    "a Message of 2 MiB of JSON": text(rb"{\"a\":[1,2]},"),
    "a Message of 2 MiB outside ASCII": text("\u4e16".encode()),
    "a Message of 2 MiB of emoji": text(EMOJI),
}
# A str that has one emoji takes 4 bytes for each of its characters, and for a moment two exist: the JSON, and the Message in it.
WIDE = {
    "a Message of 2 MiB and an emoji": text(b"x", EMOJI),
    "a Message of 2 MiB with escapes and an emoji": text(rb"x\n", EMOJI),
    "19,000 members, a long text and an emoji": members(19_000 * 12, WITH_EMOJI)[:-1] + b',"c":"' + b"x" * 1_800_000 + EMOJI + b'"}',
}
SCRIPT = """
import os, sys
from bridge.errors import BridgeError
from bridge.sns.message import parse

def highest(path, read):
    child = os.fork()
    if child:
        return os.wait4(child, 0)[2].ru_maxrss
    with open(path, "rb") as file:
        body = file.read()
    if read:
        try:
            parse(body).string_to_sign()
        except BridgeError:
            pass
    os._exit(0)

highest(sys.argv[1], True)
# The kernel counts pages in batches, so one difference can be half a MiB too large.
print(*(min(highest(path, True) - highest(path, False) for _ in range(3)) for path in sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """MiB over the body's own size, by the body's name."""
    folder, paths = tmp_path_factory.mktemp("bodies"), []
    for number, body in enumerate((BODIES | WIDE).values()):
        assert len(body) <= SIZE
        paths.append(folder / str(number))
        paths[-1].write_bytes(body)
    done = subprocess.run([sys.executable, "-c", SCRIPT, *paths], cwd=ROOT, capture_output=True, text=True, timeout=180, check=True)
    return {name: int(kib) / 1024 for name, kib in zip(BODIES | WIDE, done.stdout.split(), strict=True)}


@pytest.mark.parametrize("name", BODIES)
def test_no_body_costs_more_than_12_mib(costs, name):
    assert costs[name] < 12


@pytest.mark.parametrize("name", WIDE)
def test_one_with_an_emoji_in_a_long_text_costs_no_more_than_20(costs, name):
    assert costs[name] < 20


def test_the_measurement_sees_what_is_held(costs):
    assert costs["a Message of 2 MiB and an emoji"] > 8
