"""ConfirmSubscription: the only call to SNS's API that the bridge makes. Source: SNS API reference, ConfirmSubscription."""

from collections.abc import Callable

from bridge.errors import BridgeError, ConfirmationFailed
from bridge.sns.fetch import Egress
from bridge.sns.topic import TopicArn

MAX_ANSWER = 65536  # bytes


def confirmation_url(topic: TopicArn, token: str, endpoint: str) -> str:
    """Return the URL, made from the signed fields; the message's own SubscribeURL is never visited.

    topic and token have passed their grammars, so no character of them needs escaping. endpoint is BRIDGE_SNS_ENDPOINT, "" for none.
    """
    return f"{endpoint or topic.origin}/?Action=ConfirmSubscription&TopicArn={topic.arn}&Token={token}"


def confirm(egress: Egress, topic: TopicArn, token: str, endpoint: str, then: Callable[[BridgeError | None], None]) -> None:
    """Confirm a subscription; then(None) is called on the loop when SNS answered 200, else then(ConfirmationFailed)."""

    def answered(status: int, _body: bytes, why: str) -> None:
        if status == 200:
            then(None)
        else:
            then(ConfirmationFailed(f"SNS did not confirm the subscription: {why or f'it answered {status}'}"))

    egress.get(confirmation_url(topic, token, endpoint), MAX_ANSWER, answered)
