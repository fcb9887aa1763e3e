"""A turn of the loop is bounded: whatever one client sends, other clients' messages are answered within a second."""

import ssl
from typing import Any

import pytest

from bridge.simulate.certificates import Authority
from bridge.simulate.post import Endpoint
from tests.fault.neighbours.crowd import Attack

STRENGTHS = {"": 1, ", twice": 2}

# Of each: connections, and what they send. Those without a Go bridge's figure are about what it doesn't have.
FLOODS = {
    "pipelined tiny requests, 256 KiB each on 64": Attack("tiny_once", 64, 5, size=256 * 1024, back=False),
    "pipelined tiny requests, 5 Mbit/s on 1": Attack("tiny", 1, 5, throughput=625_000),
    "pipelined tiny requests, 5 Mbit/s on 8": Attack("tiny", 8, 5, throughput=625_000),
    "pipelined tiny requests, unread, on 64": Attack("tiny", 64, 5, read=False),
    "pipelined GETs on 64": Attack("gets", 64, 5),
    "pipelined POSTs of {} on 64": Attack("tiny_posts", 64, 5),
    "pipelined heads of 1,500 lines on 64": Attack("huge_heads", 64, 5),
    "empty lines on 64": Attack("empty_lines", 64, 5),
    "chunks of one byte on 64": Attack("one_byte_chunks", 64, 5),
    "garbage, reconnecting, on 64": Attack("garbage", 64, 5),
    "forged messages, certificate known, on 64": Attack("forged_known", 64, 5),
    "forged messages of 200 KB, certificate known, on 64": Attack("forged_known", 64, 5, size=200_000),
    "certificate URLs of other hosts, on 64": Attack("wrong_url", 64, 5),
    "JSON 50,000 deep, on 64": Attack("deep_json", 64, 5),
    "JSON of lists, 2 MiB, on 16": Attack("lists", 16, 5),
    "JSON of 190,000 names, on 16": Attack("many_members", 16, 5),
    "40,000 attributes, on 16": Attack("many_attributes", 16, 5),
    "a Message of 2 MiB of escapes, on 16": Attack("escaped_json", 16, 5),
    "one byte, then nothing, on 1,000": Attack("one_byte", 1000, 5),
    "reset at a random byte, 500 a second": Attack("cut_anywhere", 200, 5, then="reset", rate=500),
    "forged, half closed, on 200": Attack("whole_forged", 200, 5, then="half"),
    "a head byte by byte, on 500": Attack("dripped_head", 500, 5),
    "a body by the kilobyte, on 200": Attack("dripped_body", 200, 5),
    "Expect: 100-continue and no body, on 1,000": Attack("expect_no_body", 1000, 5),
    "connections that come and go, 2,000 a second": Attack("nothing", 200, 5, then="close", rate=2000),
}
SHOWN = {  # in the table of docs/faults.md
    "pipelined tiny requests, 256 KiB each on 64",
    "pipelined tiny requests, 5 Mbit/s on 1",
    "JSON of lists, 2 MiB, on 16",
    "chunks of one byte on 64",
}


def shown(if_so: bool) -> tuple[pytest.MarkDecorator, ...]:
    """The mark of a test whose row docs/faults.md has."""
    return (pytest.mark.shown,) if if_so else ()


def floods() -> list[Any]:
    made = []
    for name, attack in FLOODS.items():
        for word, times in STRENGTHS.items():
            made.append(pytest.param(name + word, attack.doubled() if times == 2 else attack, id=name + word, marks=shown(name in SHOWN)))
    return made


@pytest.mark.parametrize(("name", "attack"), floods())
def test_flood(name, attack, neighbours):
    neighbours.play(name, attack, go=True)


@pytest.mark.quick
def test_a_flood_in_short(neighbours):
    name = "pipelined tiny requests, 256 KiB each on 64"
    neighbours.play(f"{name}, for 4 s", FLOODS[name]._replace(seconds=4))


# ---- what the Go bridge of the benchmark does not have: credentials, TLS


@pytest.mark.parametrize("times", STRENGTHS.values(), ids=["as seen", "twice"])
def test_wrong_credentials(times, neighbours, folder):
    """SNS itself comes without credentials first and gets 401, so a 401 must not count against a client."""
    (folder / "credentials").write_text("sns:a-long-password\n")
    bridge = neighbours.bridge(BRIDGE_BASIC_AUTH_FILE=str(folder / "credentials"))
    attack = Attack("wrong_credentials", 64 * times, 5)
    neighbours.play(f"wrong Basic credentials on {64 * times}", attack, bridge=bridge, endpoint=bridge.endpoint("sns:a-long-password"))


HANDSHAKES = {
    "ClientHello, then reset, {} at a time": Attack("client_hello", 3000, 10, then="again", rate=3000),
    "ClientHello, then nothing, {}": Attack("client_hello", 3000, 10, back=True),
    "half a ClientHello, {}": Attack("half_hello", 1000, 5),
    "no TLS, {}": Attack("garbage", 200, 5),
    "ClientHello, reset at once, {} at a time": Attack("client_hello", 300, 5, then="reset"),
}
PLACES = {"": 0, ", from another address": 1, ", from 16 other addresses": 16}


SHOWN_PLACES = {
    "ClientHello, then reset, {} at a time": list(PLACES),
    "ClientHello, then nothing, {}": list(PLACES)[:2],
}
OPENING = 3  # seconds in which thousands come. SNS's new connections of that time wait among them: a second has some 700 signatures.
OVERTAKEN = {(name, "") for name in SHOWN_PLACES}


@pytest.mark.parametrize("times", STRENGTHS.values(), ids=["as seen", "twice"])
@pytest.mark.parametrize(
    ("name", "place"),
    [pytest.param(name, place, marks=shown(place in SHOWN_PLACES.get(name, []))) for name in HANDSHAKES for place in PLACES],
)
def test_handshakes(name, place, times, neighbours, folder):
    """An RSA key: each handshake that is begun costs a signature. SNS's new connections overtake those that wait, at its address too."""
    attack = (HANDSHAKES[name].doubled() if times == 2 else HANDSHAKES[name])._replace(addresses=PLACES[place])
    opening = OPENING if (name, place) in OVERTAKEN else 0
    title = f"RSA: {name.format(format(attack.connections, ','))}{place}" + (f", after {OPENING} s" if opening else "")
    play_handshakes(title, attack, opening, neighbours, folder)


@pytest.mark.quick
def test_handshakes_in_short(neighbours, folder):
    """More than BRIDGE_MAX_CONNECTIONS, from SNS's own address."""
    attack = HANDSHAKES["ClientHello, then nothing, {}"]._replace(connections=2000, seconds=6)
    play_handshakes(f"RSA: ClientHello, then nothing, 2,000, for 6 s, after {OPENING} s", attack, OPENING, neighbours, folder)


def play_handshakes(title, attack, opening, neighbours, folder):
    authority = Authority(folder / "tls", "listener")
    files = authority.issue(folder / "listener", "localhost", "127.0.0.1", rsa=True)
    bridge = neighbours.bridge(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key))
    endpoint: Endpoint = bridge.endpoint(ca_file=authority.ca_file)
    assert ssl.get_server_certificate(("127.0.0.1", bridge.port))
    neighbours.play(title, attack, bridge=bridge, endpoint=endpoint, opening=opening)
