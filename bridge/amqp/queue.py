"""BRIDGE_QUEUE at the broker: declared as a durable quorum queue, or used as it is when it exists in another form, and bound.

Source: AMQP 0-9-1 sections 1.7.2.1 (queue.declare, equivalence), 1.7.2.4 (queue.bind); RabbitMQ guides "Queues" and "Quorum Queues".
"""

import re
from collections.abc import Callable
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker

from bridge.amqp.broker import describe

Question = Callable[["pika.channel.Channel", Callable[[Any], None]], None]
_VALUE = re.compile(r"inequivalent arg '(x-[^']+)'.* but current is the value '([^']*)' of type '([a-z]+)'", re.DOTALL)
_INTEGER = re.compile("-?[0-9]{1,18}")
_DIFFERENT = re.compile(r"inequivalent arg '([^']+)'.* but current is (.*)", re.DOTALL)


class DeclaredQueue:
    """The outcome of declaring BRIDGE_QUEUE. `problem` says why it can't be used, or is ""; `warnings` say what its messages are not safe
    from. `quorum` tells whether it is a durable quorum queue; `arguments` are those that it was declared with.
    """

    __slots__ = ("arguments", "problem", "quorum", "warnings")

    def __init__(self) -> None:
        self.problem, self.quorum = "", False
        self.arguments: dict[str, Any] = {"x-queue-type": "quorum"}
        self.warnings: list[str] = []


def ask(connection: "pika.SelectConnection", question: Question, then: Callable[[Any, Exception], None]) -> None:
    """Ask the broker something on a channel of its own, because a refusal closes the channel.

    question(channel, answered) sends one method, whose reply goes to answered. then(reply, error) is called when the channel is
    closed; reply is None after a refusal, and error has the broker's words. It is not called when the connection ends before.
    """
    replies: list[Any] = []

    def answered(reply: Any) -> None:
        replies.append(reply)
        channel.close()

    def closed(_channel: "pika.channel.Channel", error: Exception) -> None:
        if connection.is_open:
            then(replies[0] if replies else None, error)

    channel = connection.channel(on_open_callback=lambda opened: question(opened, answered))
    channel.add_on_close_callback(closed)


def declare(connection: "pika.SelectConnection", queue: tuple[str, str, str], then: Callable[[DeclaredQueue], None]) -> None:
    """Declare and bind queue = (name, exchange, binding key); then(result) is called once, unless the connection ends before.

    A queue that exists in another form is used as it is. Each refusal of the broker names one argument that differs. The argument's
    value is taken over, so the next refusal names the next one, until it is known whether the queue is replicated.
    """
    name, exchange, key = queue
    result = DeclaredQueue()

    def propose(refused: Callable[[Exception], None]) -> None:
        ask(
            connection,
            lambda channel, answered: channel.queue_declare(name, durable=True, arguments=dict(result.arguments), callback=answered),
            lambda reply, error: refused(error) if reply is None else declared(),
        )

    def declared() -> None:
        result.quorum = True
        bind()

    def look(refusal: Exception) -> None:
        """Ask whether the queue exists at all."""
        ask(
            connection,
            lambda channel, answered: channel.queue_declare(name, passive=True, callback=answered),
            lambda reply, _error: failed("declared", refusal) if reply is None else differs(refusal),
        )

    def differs(refusal: Exception) -> None:
        argument, value = _difference(refusal)
        if value is None or argument in result.arguments:
            result.warnings += _warnings(name, refusal)
            bind()
        else:
            result.arguments[argument] = value
            propose(differs)

    def bind() -> None:
        if not exchange:
            then(result)
            return
        ask(
            connection,
            lambda channel, answered: channel.queue_bind(name, exchange, key, callback=answered),
            lambda reply, error: then(result) if reply is not None else failed(f"bound to exchange {exchange!r}", error),
        )

    def failed(what: str, error: Exception) -> None:
        concerned = "BRIDGE_QUEUE" if what == "declared" else "BRIDGE_EXCHANGE, BRIDGE_QUEUE"
        result.problem = f"queue {name!r} can't be {what}: {describe(error)} ({concerned})"
        then(result)

    propose(look)


def _difference(error: Exception) -> tuple[str, int | str | bool | None]:
    """Return the argument in which the existing queue differs, by the broker's refusal, and its value, None when that is not told."""
    if not isinstance(error, ChannelClosedByBroker) or error.reply_code != 406:
        return "", None
    found = _VALUE.search(describe(error))
    if found is None:
        return "", None
    argument, value, kind = found.groups()
    if kind == "bool":
        return argument, value == "true"
    if kind == "longstr":
        return argument, value
    return argument, int(value) if _INTEGER.fullmatch(value) else None


def _warnings(name: str, error: Exception) -> list[str]:
    """Return what the existing queue's difference costs, by the broker's refusal."""
    if not isinstance(error, ChannelClosedByBroker) or error.reply_code != 406:
        return []
    found = _DIFFERENT.search(describe(error))
    used = f"queue {name!r} exists already and is used as it is (BRIDGE_QUEUE)"
    if found is None:
        return [f"{used}; the broker does not say how it differs from a durable quorum queue: {describe(error)}"]
    argument, current = found[1], found[2]
    if argument == "durable":
        return [f"{used}; it is not durable: messages that were answered 200 are lost when the broker restarts"]
    if argument == "auto_delete":
        return [f"{used}; it is deleted with its messages when its last consumer goes (auto-delete)"]
    if argument == "x-queue-type" and "stream" not in current:
        return [f"{used}; it is a classic queue, which is not replicated: its messages are on one node of the broker alone"]
    return []
