"""Basic authentication (RFC 7617) against a file of users. SNS sends no credentials until it is challenged."""

import base64
import hmac
import re

from bridge.errors import SettingError, Unauthorized
from bridge.files import FollowedFiles
from bridge.log import Log

SETTING = "BRIDGE_BASIC_AUTH_FILE"
MAX_USERS = 100

# crypt(5)'s "$id$…", as htpasswd and mkpasswd write it, and LDAP's "{SCHEME}…" (RFC 2307 section 5.3)
_HASH = re.compile(
    rb"\$(?:1|2[abxy]?|3|5|6|7|y|gy|md5|sha1|apr1|argon2[a-z]*|scrypt|pbkdf2[a-z0-9-]*)[$,]"
    rb"|\{(?:CRYPT|MD5|SMD5|S?SHA[0-9]*|PBKDF2[A-Z0-9-]*|ARGON2[A-Z]*)\}",
    re.IGNORECASE,
)
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")  # RFC 7617 section 2: neither part holds one
_BYTE_ORDER_MARKS = b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"


class Credentials:
    """The `user:password` lines of BRIDGE_BASIC_AUTH_FILE; any of them is accepted, so that a password can be rotated."""

    def __init__(self, path: str, log: Log) -> None:
        """path is "" for no authentication. Raises SettingError."""
        self._path = path
        self._accepted: list[bytes] = []
        self._file = FollowedFiles("credentials", {SETTING: path}, self._use, log)
        self.follow = self._file.follow  # to be called again and again; while the file can't be used, the old lines stay in use
        self._file.read()

    def _use(self, contents: dict[str, bytes]) -> None:
        try:
            self._accepted = [base64.b64encode(line) for line in parse_users(contents[SETTING])]
        except ValueError as error:
            raise SettingError(SETTING, f"{self._path} {error}") from None

    def check(self, authorization: str | None) -> None:
        """Check an Authorization header (None when there is none). Raises Unauthorized.

        Every line is compared, each in constant time, so that timing reveals nothing.
        """
        if not self._accepted:
            return
        scheme, _, given = (authorization or "").partition(" ")
        encoded = given.strip(" ").encode("latin-1", "replace")
        matches = [hmac.compare_digest(encoded, accepted) for accepted in self._accepted]
        if scheme.lower() != "basic" or not any(matches):
            raise Unauthorized(f"no Basic credentials, or wrong ones ({SETTING})", authorization is not None)


def parse_users(content: bytes) -> list[bytes]:
    """Return the `user:password` lines of a file (bytes; RFC 7617 section 2), without empty lines. Raises ValueError.

    The last line needs its newline too: a file that is still being written can end anywhere, and half of a password is easy to guess.
    """
    if content.startswith(_BYTE_ORDER_MARKS):
        raise ValueError("starts with a byte order mark; save it as UTF-8 without one")
    users = []
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        user = line.rstrip(b"\r\n")
        if user == line:
            raise ValueError(f"may be half-written: line {number}, its last one, has no newline at its end")
        if user:
            _check_line(number, user)
            users.append(user)
    if not 1 <= len(users) <= MAX_USERS:
        raise ValueError(f"must hold 1 to {MAX_USERS} lines of user:password, and has {len(users)}")
    return users


def _check_line(number: int, line: bytes) -> None:
    _, colon, password = line.partition(b":")
    if line.startswith(b"#"):
        raise ValueError(f"must hold lines of user:password only; line {number} is a comment")
    if not colon:
        raise ValueError(f"must hold lines of user:password; line {number} has no colon")
    if not password:
        raise ValueError(f"has an empty password in line {number}")
    if _HASH.match(password):
        raise ValueError(f"holds a hash in line {number}, as htpasswd makes it; write the password itself")
    if _CONTROL.search(line):
        raise ValueError(f"holds a control character in line {number}")
