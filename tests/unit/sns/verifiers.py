"""The two verifiers of signatures, libcrypto's and the one in Python, and why they refuse a certificate."""

import pytest

from bridge.sns import rsa
from bridge.sns.signature import BadCertificate, load_certificate

try:
    from bridge.sns import _rsa
except ImportError:
    _rsa = None

native = pytest.mark.skipif(_rsa is None, reason="bridge.sns._rsa was not built: no compiler or no libcrypto headers")
KEYS = [pytest.param(_rsa and _rsa.Key, id="libcrypto", marks=native), pytest.param(rsa.Key, id="python")]


def refusal(encoded, key):
    with pytest.raises(BadCertificate) as caught:
        load_certificate(encoded, key)
    return str(caught.value)
