"""Three RabbitMQ nodes as one cluster, for quorum queues: any node can be killed and the queue goes on."""

import secrets
from types import TracebackType
from typing import Self

from tests.tools.broker import Broker, Epmd


class Cluster:
    """`nodes` are Brokers; `urls` is what BRIDGE_AMQP_URL takes: all of them, comma separated."""

    def __init__(self, size: int = 3) -> None:
        self.epmd = Epmd()
        cookie = secrets.token_hex(20)
        self.nodes = [Broker(epmd=self.epmd, cookie=cookie) for _ in range(size)]
        self.urls = ",".join(node.url for node in self.nodes)

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start(wait=False)
            for node in self.nodes:
                node.wait_until_ready()
            for node in self.nodes[1:]:
                node.ctl("stop_app")
                node.ctl("join_cluster", self.nodes[0].node, timeout=180)
                node.ctl("start_app", timeout=180)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        self.epmd.stop()

    def leader(self, queue: str) -> Broker:
        """The node that leads this quorum queue now."""
        alive = next(node for node in self.nodes if node.process is not None and node.process.poll() is None)
        for line in alive.ctl("-q", "list_queues", "name", "leader", "--no-table-headers").splitlines():
            name, _, leader = line.partition("\t")
            if name == queue:
                return next(node for node in self.nodes if node.node == leader.strip())
        raise AssertionError(f"no leader of {queue}")
