"""The table of body formats, which BRIDGE_BODY, the routes and the pipeline use. No sockets here."""

from collections.abc import Callable

from bridge.bodies import cloudevents
from bridge.bodies.tracing import Trace
from bridge.sns.message import Notification


class Format:
    """One body format. Bodies are bytes, as they are published.

    of_notification(received, body, trace) makes the body of a Notification and its envelope; of_raw(message_id, topic_arn, body, trace)
    that of a raw delivery. content_type is None for the request's own. meaning continues "What is published:" in the settings' table.
    """

    __slots__ = ("content_type", "has_attributes", "meaning", "name", "of_notification", "of_raw")

    def __init__(
        self,
        name: str,
        meaning: str,
        of_notification: Callable[[Notification, bytes, Trace | None], bytes],
        of_raw: Callable[[str, str, bytes, Trace | None], bytes] = lambda _id, _arn, body, _trace: body,
        content_type: bytes | None = None,
        has_attributes: bool = False,
    ) -> None:
        """has_attributes tells whether the body holds the MessageAttributes, so that a header which does not fit may be left out."""
        self.name, self.meaning, self.content_type, self.has_attributes = name, meaning, content_type, has_attributes
        self.of_notification, self.of_raw = of_notification, of_raw


_ALL = (
    Format("envelope", "the bytes exactly as SNS sent them", lambda _received, body, _trace: body, has_attributes=True),
    Format("message", "the Message alone", lambda received, _body, _trace: received.message),
    Format(
        "cloudevents",
        "a CloudEvent with the Message as its data",
        lambda received, _body, trace: cloudevents.of_notification(received, trace),
        cloudevents.of_raw,
        cloudevents.CONTENT_TYPE,
    ),
)
FORMATS = {one.name: one for one in _ALL}
MEANINGS = f"{', '.join(one.meaning for one in _ALL[:-1])}, or {_ALL[-1].meaning}"
