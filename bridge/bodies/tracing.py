"""The trace that a message belongs to, from a message attribute or the request's headers. No sockets here.

The bridge starts no span of its own; it hands on the context that it gets. Source: W3C Trace Context level 1, sections 3.2
(traceparent) and 3.3 (tracestate). A malformed context is ignored and never fails a delivery.
"""

import re

from bridge.sns.message import Message, Notification

_PARENT = re.compile(r"([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NAME = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER = re.compile(rf"({_NAME})=[ -+\--<>-~]{{0,255}}[!-+\--<>-~]")
MAX_STATE = 512  # characters; section 3.3.1.5 asks for no more
MAX_MEMBERS = 32


class Trace:
    """One message's place in a trace: `parent` and `state` (may be empty) are what the two headers carry."""

    __slots__ = ("parent", "state")

    def __init__(self, parent: str, state: str) -> None:
        self.parent, self.state = parent, state

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.parent[3:35]

    def members(self) -> dict[str, str]:
        """The two headers by name, which are also CloudEvents' extension attributes; no `tracestate` when it is empty."""
        return {"traceparent": self.parent, "tracestate": self.state} if self.state else {"traceparent": self.parent}


def find(headers: dict[str, str], message: Message | None, name: str) -> Trace | None:
    """Return the trace of the attribute `name`, which is the publisher's, else that of the header `traceparent`, else None.

    headers have lower-case names. Neither source is signed.
    """
    trace = None
    if isinstance(message, Notification) and name in message.attributes:
        trace = _trace(message.attributes[name][1], message.attributes.get("tracestate", ("", ""))[1])
    if trace is None and "traceparent" in headers:
        trace = _trace(headers["traceparent"], headers.get("tracestate", ""))
    return trace


def _trace(parent: str, state: str) -> Trace | None:
    """Return the trace, None when it is malformed. A later version is handed on as version 00, with the fields of that (section 3.2.4)."""
    match = _PARENT.fullmatch(parent)
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    if match[1] != "00":
        parent = f"00-{match[2]}-{match[3]}-{int(match[4], 16) & 1:02x}"
    return Trace(parent, _state(state))


def _state(text: str) -> str:
    """Return a tracestate without the spaces around its members, or "" when a member is malformed or duplicate."""
    if not text or len(text) > MAX_STATE:
        return ""
    members = [member for member in (part.strip(" \t") for part in text.split(",")) if member]
    matches = [_MEMBER.fullmatch(member) for member in members]
    names = {match[1] for match in matches if match is not None}
    return ",".join(members) if len(names) == len(members) <= MAX_MEMBERS else ""
