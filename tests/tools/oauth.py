"""Passwords that end: RabbitMQ's own OAuth 2 backend with a key of this test run, the tokens for it, and a file that is kept fresh.

    issuer = Issuer(folder)
    with Broker(settings=issuer.settings, plugins=issuer.plugins) as broker:
        issuer.write(folder / "token", seconds=20)       # what BRIDGE_AMQP_PASSWORD_FILE names
        with issuer.renewing(folder / "token", seconds=20, every=10): ...
        issuer.look_each_second(broker)                  # seen in a second instead of a minute that a token has ended
        ... BRIDGE_AMQP_URL=issuer.url(broker) ...       # any user's name will do: the token is the password
        broker.url still connects as guest

Sources: RFC 7519 (JWT), RFC 7515 (JWS), RFC 7518 section 3.3 (RS256); RabbitMQ guide "OAuth 2.0 Authentication": the token's `aud`
names the resource server, its `scope` is a list of RESOURCE_SERVER.PERMISSION:VHOST/NAME, the password is the token.
"""

import base64
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.tools.broker import Broker
from tests.tools.repeat import repeated

RESOURCE_SERVER = "rabbitmq"
EVERYTHING = ("configure:*/*", "write:*/*", "read:*/*")


class Issuer:
    """What issues the tokens. `settings` and `plugins` make a Broker take them, beside its ordinary users."""

    plugins = ("rabbitmq_auth_backend_oauth2",)

    def __init__(self, folder: Path) -> None:
        """The public key is put into the folder, which the broker reads at its start."""
        self._key = rsa.generate_private_key(65537, 2048)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public = folder / "oauth.pem"
        public.write_bytes(self._key.public_key().public_bytes(serialization.Encoding.PEM, form))
        lines = (
            "auth_backends.1 = rabbit_auth_backend_oauth2",
            "auth_backends.2 = rabbit_auth_backend_internal",
            f"auth_oauth2.resource_server_id = {RESOURCE_SERVER}",
            "auth_oauth2.default_key = tests",
            f"auth_oauth2.signing_keys.tests = {public}",
            "auth_oauth2.algorithms.1 = RS256",
        )
        self.settings = "\n".join(lines)

    def token(self, seconds: float, *, user: str = "bridge", scopes: Sequence[str] = EVERYTHING) -> str:
        """A JWT that ends in this many seconds, rounded up to a whole one; below 0: that has ended."""
        now = time.time()
        claims = {
            "iss": "tests",
            "aud": [RESOURCE_SERVER],
            "sub": user,
            "client_id": user,
            "iat": int(now),
            "exp": -int(-(now + seconds) // 1),
            "jti": os.urandom(8).hex(),
            "scope": [f"{RESOURCE_SERVER}.{scope}" for scope in scopes],
        }
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": "tests"}, claims))
        return (signed + b"." + _base64url(self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256()))).decode()

    def write(self, path: Path, seconds: float, **options: object) -> None:
        """Put a new token into the file in one step, as a sidecar or a timer does it (a rename)."""
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(self.token(seconds, **options) + "\n")  # type: ignore[arg-type]
        fresh.chmod(0o644)
        fresh.rename(path)

    @contextmanager
    def renewing(self, path: Path, seconds: float, every: float) -> Iterator[None]:
        """Keep the file fresh: a token of `seconds` at once, and another one every `every` seconds."""
        self.write(path, seconds)
        with repeated(every, lambda: self.write(path, seconds)):
            yield

    @staticmethod
    def look_each_second(broker: Broker) -> None:
        """Channels opened from now on forget each second which permissions they have looked up.

        A broker that does not close a connection whose token has ended (seen: 3.10.8, 4.0.5) goes on publishing with what its channel
        has looked up: for up to a minute by default (rabbit's channel_tick_interval), then it closes the channel with 403.
        """
        broker.ctl("eval", "application:set_env(rabbit, channel_tick_interval, 1000).")

    @staticmethod
    def url(broker: Broker, user: str = "bridge") -> str:
        """BRIDGE_AMQP_URL with a user's name and no password."""
        return f"amqp://{user}@127.0.0.1:{broker.port}/%2F"


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
