"""The network, the verifiers and the certificates of these tests.

clock, egress, kept, encoded   a cache of certificates, the clock and the network that the test plays, and a certificate
no_proxy, serve                no proxy is set; serve(script) starts a server that plays the script on each connection
key, verify                    each of the two verifiers: its class of keys, and its check of a signature by forge.signer()
"""

import os

import pytest

from bridge.sns.certificates import Certificates
from bridge.sns.signature import load_certificate
from tests.fuzz import forge
from tests.fuzz.forge import certificate
from tests.unit.sns.fetches import Fetches
from tests.unit.sns.scripted import Server
from tests.unit.sns.verifiers import KEYS
from tests.unit.stand_ins import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def egress():
    return Fetches()


@pytest.fixture
def kept(egress, clock):
    return Certificates("", egress, clock)


@pytest.fixture(scope="module")
def encoded():
    return forge.certificate()


@pytest.fixture
def no_proxy(monkeypatch):
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def serve():
    servers = []

    def started(script, tls=None):
        servers.append(Server(script if callable(script) else lambda file, _: file.write(script) and None, tls))
        return servers[-1]

    yield started
    for server in servers:
        server.socket.close()


@pytest.fixture(params=KEYS)
def key(request):
    return request.param


@pytest.fixture
def verify(key):
    """verify(signature, message, digest) with the key of forge.signer()."""
    return load_certificate(certificate(), key).verify
