"""Secrets and the broker's words: files that are read at each connect, tokens that end, texts that were cut."""

import base64
import json
import os

import pika.exceptions
import pytest
from pika import spec

from bridge.amqp.broker import BrokerSettings, describe, expiry, parameters
from bridge.amqp.url import BrokerURL

SECRET = "s3cr3t-pa55w0rd"


def settings(path=""):
    return BrokerSettings(("amqp://h",), "", "", "", str(path), 10)


def token(claims):
    def part(value):
        return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.{part(b'signature')}"


@pytest.mark.parametrize(
    ("content", "secret"), [(b"a b", "a b"), (b" a\t\r\n", " a\t"), ("pä".encode(), "pä"), (b"x" * 65536, "x" * 65536)]
)
def test_the_secret_is_the_file_without_the_lines_end(tmp_path, content, secret):
    (tmp_path / "password").write_bytes(content)
    assert settings(tmp_path / "password").secret() == secret


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 65537, b"s3cr3t\xff"])
def test_a_file_that_holds_no_secret_is_an_error_without_its_content(tmp_path, content):
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(ValueError, match="BRIDGE_AMQP_PASSWORD_FILE") as caught:
        settings(tmp_path / "password").secret()
    assert "s3cr3t" not in str(caught.value) and "xff" not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "end"),
    [
        (token({"exp": 1772826938}), 1772826938),
        (token({"exp": 1772826938.5, "sub": "ä" * 99}), 1772826938.5),
        (token({"sub": "x"}), 0),
        (token({"exp": "soon"}), 0),
        (token({"exp": -1}), 0),
        (token({"exp": 1e300}), 0),
        (token([1]), 0),
        (token(b"\xff"), 0),
        (token(b"[" * 40000), 0),
        ("password", 0),
        ("a.b", 0),
        ("a.b.c", 0),
        ("a.ä.c", 0),
        ("..", 0),
        ("", 0),
    ],
)
def test_when_a_token_ends_is_read_and_anything_else_never_ends(secret, end):
    assert expiry(secret) == end


@pytest.mark.parametrize(
    ("url", "secret", "user", "password"),
    [
        ("amqp://h", "", "guest", "guest"),
        ("amqp://guest@h", "", "guest", "guest"),
        ("amqp://u@h", "", "u", ""),
        ("amqp://u:p@h", "", "u", "p"),
        ("amqp://u:p@h", SECRET, "u", SECRET),
        ("amqp://h", SECRET, "guest", SECRET),
        ("amqp://guest:@h", "", "guest", ""),
    ],
)
def test_the_password_is_the_files_else_the_urls_else_guest(url, secret, user, password):
    credentials = parameters(settings(), BrokerURL(url), secret).credentials
    assert (credentials.username, credentials.password) == (user, password)


def test_a_connection_says_which_host_and_process_it_is_of():
    name = parameters(settings(), BrokerURL("amqp://h"), "").client_properties["connection_name"]
    assert os.uname().nodename in name and str(os.getpid()) in name


def test_the_urls_parameters_reach_the_connection():
    made = parameters(settings(), BrokerURL("amqp://h/v?heartbeat=3&connection_timeout=1500&channel_max=9&frame_max=4096"), "")
    assert (made.heartbeat, made.socket_timeout, made.channel_max, made.frame_max, made.virtual_host) == (3, 1.5, 9, 4096, "v")
    assert parameters(settings(), BrokerURL("amqp://h"), "").heartbeat == 10


def test_a_text_that_was_cut_inside_a_character_stays_words():
    text = "NOT_FOUND - no exchange '" + "ä" * 120
    method = spec.Channel.Close().decode(b"\x01\x94" + bytes((255,)) + text.encode()[:255].ljust(255, b"\xc3") + b"\0\0\0\0")
    line = describe(pika.exceptions.ChannelClosedByBroker(method.reply_code, method.reply_text))
    assert line.startswith("404 NOT_FOUND - no exchange 'ää") and "b'" not in line and "\\x" not in line
