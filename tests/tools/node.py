"""What the tests do with a node beside starting and stopping it: its queues, its users, its alarms, its command line tools."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tests.tools.rabbitmq import RabbitMQ


class Stored(NamedTuple):
    """One message as it lay in the queue."""

    body: bytes
    properties: pika.BasicProperties
    routing_key: str
    exchange: str
    redelivered: bool


class Node:
    """Base of Broker, which sets these."""

    rabbitmq: RabbitMQ
    url: str
    node: str
    folder: Path
    environment: dict[str, str]
    alarms: set[str]  # those that a test has raised

    # ---- its state

    def ctl(self, *words: str, program: str = "rabbitmqctl", timeout: float = 60) -> str:
        """Run rabbitmqctl (or rabbitmq-queues, rabbitmq-diagnostics) on this node and return what it printed."""
        done = subprocess.run(
            self.rabbitmq.words(program, "-n", self.node, *words),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode:
            raise AssertionError(f"{program} {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def channel(self, url: str = "") -> Iterator[BlockingChannel]:
        """A channel on a connection of its own."""
        parameters = pika.URLParameters(url or self.url)
        parameters.socket_timeout = parameters.stack_timeout = 10
        connection = pika.BlockingConnection(parameters)
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def declare(self, queue: str, *, kind: str = "classic", exchange: str = "", routing_key: str = "", **arguments: Any) -> str:
        """Declare a durable queue ("classic" or "quorum"), bound to a durable direct exchange if one is named. Returns its name."""
        with self.channel() as channel:
            channel.queue_declare(queue, durable=True, arguments={"x-queue-type": kind, **arguments})
            if exchange:
                channel.exchange_declare(exchange, "direct", durable=True)
                channel.queue_bind(queue, exchange, routing_key or queue)
        return queue

    def delete(self, queue: str) -> None:
        with self.channel() as channel:
            channel.queue_delete(queue)

    def purge(self, queue: str) -> None:
        with self.channel() as channel:
            channel.queue_purge(queue)

    def count(self, queue: str) -> int:
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def take(self, queue: str) -> list[Stored]:
        """Return every message that lies in the queue, and remove it."""
        taken = []
        with self.channel() as channel:
            expected = int(channel.queue_declare(queue, passive=True).method.message_count)
            channel.basic_qos(prefetch_count=1000)
            last = None
            for method, properties, body in channel.consume(queue, inactivity_timeout=2 if expected else 0.01):
                if method is None:
                    break
                taken.append(Stored(body, properties, method.routing_key, method.exchange, method.redelivered))
                last = method.delivery_tag
                if len(taken) % 500 == 0 or len(taken) >= expected:
                    channel.basic_ack(last, multiple=True)
                if len(taken) >= expected:
                    break
            channel.cancel()
        return taken

    def ids(self, queue: str) -> list[str]:
        """message_id of every message in the queue; the queue is emptied."""
        return [message.properties.message_id for message in self.take(queue)]

    # ---- users, alarms

    def add_user(self, name: str, password: str, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        self.ctl("add_user", name, password)
        self.ctl("set_permissions", "-p", "/", name, configure, write, read)

    def change_password(self, name: str, password: str) -> None:
        self.ctl("change_password", name, password)

    def memory_alarm(self, on: bool) -> None:
        """Raise the memory alarm (publishing connections are blocked) or clear it."""
        self.alarms.add("memory") if on else self.alarms.discard("memory")
        self.ctl("set_vm_memory_high_watermark", *(("0.0000001",) if on else ("absolute", "1GB")))

    def disk_alarm(self, on: bool) -> None:
        self.alarms.add("disk") if on else self.alarms.discard("disk")
        self.ctl("set_disk_free_limit", "900000GB" if on else "50MB")
