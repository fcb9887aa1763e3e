"""The password file of a link to the broker."""

import json
import os
from base64 import urlsafe_b64encode
from time import time
from types import SimpleNamespace

import pytest

from bridge.amqp.broker import BrokerSettings
from bridge.amqp.links import KeptLink
from bridge.counters import Counters
from bridge.errors import SettingError
from bridge.log import Log


def token(seconds):
    """A JSON Web Token that ends in so many seconds."""
    parts = ({}, {"exp": time() + seconds})
    return ".".join([*(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "signature"])


@pytest.fixture
def link():
    loop = SimpleNamespace(call_later=lambda *_: None)
    settings = BrokerSettings(("amqp://bridge@127.0.0.1:1/",), "", "", "", "/nowhere", 10)
    link = KeptLink(loop, settings, None, Log(fd=os.open(os.devnull, os.O_WRONLY)), Counters(1, {}))
    link.connect = lambda: None
    return link


def use(link, content):
    link._use_secret({"BRIDGE_AMQP_PASSWORD_FILE": content.encode() + b"\n"})


def test_what_is_no_token_does_not_replace_one_that_is_good(link):
    """A file may be half-written when it is read."""
    use(link, good := token(60))
    with pytest.raises(SettingError, match="the token stays in use"):
        use(link, good[:20])
    assert link._secret == good


def test_a_password_replaces_a_token_that_has_ended(link):
    use(link, token(-3600))
    use(link, "a-password")
    assert link._secret == "a-password"


@pytest.mark.parametrize("seconds", [60, -3600])
def test_a_token_replaces_whatever_there_is(link, seconds):
    for secret in ("a-password", token(seconds), token(120)):
        use(link, secret)
        assert link._secret == secret
