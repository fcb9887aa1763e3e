"""The fixture of the tests of hostile neighbours."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.simulate.sns import SNS
from tests.fault.neighbours import siege, table
from tests.fault.neighbours.crowd import Attack
from tests.tools.bridge import Bridge
from tests.tools.broker import Broker
from tests.tools.ports import free_port


class Neighbours(NamedTuple):
    """Starts a bridge, plays one attack, keeps the row, and asserts the promises."""

    sns: SNS
    broker: Broker
    queue: str
    folder: Path
    start_bridge: Callable[..., Bridge]
    say: Callable[[str], None]
    shown: bool

    def bridge(self, **settings: str) -> Bridge:
        return self.start_bridge(**{"BRIDGE_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"} | settings)

    def play(self, name: str, attack: Attack | None, *, go: bool = False, bridge: Bridge | None = None, **words: Any) -> siege.Seen:
        """go: besiege the Go bridge too, and be no worse than it; not with GO_BRIDGE=no, nor in a test that is not `shown`.

        words: of siege.besiege().
        """
        bridge = bridge or self.bridge()
        seen = siege.besiege(bridge, attack, self.sns, self.broker, self.queue, **words)
        self.say(f"{name}: {seen}")
        peer = None
        if go and attack is not None and self.shown and os.environ.get("GO_BRIDGE") != "no":
            with siege.Go(self.sns, self.broker, self.queue, self.folder) as other:
                peer = siege.besiege(other, attack, self.sns, self.broker, self.queue)
            self.say(f"    Go: {peer}")
        found = siege.faults(bridge, seen) + (siege.worse(seen, peer) if peer else [])
        if self.shown:
            table.keep(table.row(name, seen, peer, found))
        assert not found, f"{name}: {'; '.join(found)}\n{seen}"
        return seen


@pytest.fixture
def neighbours(request, sns, broker, queue, folder, start_bridge) -> Neighbours:
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  {text}", flush=True)

    return Neighbours(sns, broker, queue, folder, start_bridge, say, request.node.get_closest_marker("shown") is not None)
