"""Basic authentication (RFC 7617) against a file of users. SNS sends no credentials until it is challenged."""

import base64
import hmac
import os

from bridge.errors import SettingError, Unauthorized

MAX_USERS = 100


class Credentials:
    """The `user:password` lines of BRIDGE_BASIC_AUTH_FILE; any of them is accepted, so that a password can be rotated."""

    def __init__(self, path: str) -> None:
        """path is "" for no authentication. Raises SettingError."""
        self._path = path
        self._accepted: list[bytes] = []
        self._version: tuple[int, int] = (0, 0)
        if path:
            self.reread()

    def reread(self) -> None:
        """Read the file again if it has changed. Raises SettingError; the old lines stay."""
        if not self._path:
            return
        try:
            status = os.stat(self._path)
            version = status.st_mtime_ns, status.st_ino
            if version == self._version:
                return
            with open(self._path, "rb") as file:
                lines = [line.strip(b"\r\n") for line in file]
        except OSError as error:
            raise SettingError("BRIDGE_BASIC_AUTH_FILE", f"{self._path} can't be read: {error.strerror}") from None
        lines = [line for line in lines if line]
        if not 1 <= len(lines) <= MAX_USERS or not all(b":" in line for line in lines):
            raise SettingError("BRIDGE_BASIC_AUTH_FILE", f"{self._path} must hold 1 to {MAX_USERS} lines of user:password")
        self._accepted = [base64.b64encode(line) for line in lines]
        self._version = version

    def check(self, authorization: str | None) -> None:
        """Check an Authorization header (None when there is none). Raises Unauthorized.

        Every line is compared, each in constant time, so that the time tells nothing.
        """
        if not self._accepted:
            return
        scheme, _, given = (authorization or "").partition(" ")
        encoded = given.strip(" ").encode("latin-1", "replace")
        matches = [hmac.compare_digest(encoded, accepted) for accepted in self._accepted]
        if scheme.lower() != "basic" or not any(matches):
            raise Unauthorized("no Basic credentials, or wrong ones (BRIDGE_BASIC_AUTH_FILE)", authorization is not None)
