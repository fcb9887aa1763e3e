"""More than one of everything: haproxy in front of three bridges, and each of them on another node of a cluster of three.

haproxy asks /readyz of each bridge, as any load balancer can. A bridge is killed, then the node that leads the quorum queue, then both
come back. SNS's retries reach the others, and the check of the fault tests holds.
"""

import shutil

import pytest

from bridge.simulate.post import Connection, Endpoint
from tests.fault.load import Load
from tests.tools.bridge import Bridge
from tests.tools.cluster import Cluster
from tests.tools.ports import free_port, wait_for

pytestmark = pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is missing: apt-get install haproxy")
QUEUE = "three-bridges"
CONFIGURATION = """
global
    maxconn 500
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 15s
    timeout check 2s
    retries 2
    option redispatch
frontend sns
    bind 127.0.0.1:{front}
    default_backend bridges
backend bridges
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 300ms fall 2 rise 1
{servers}
"""


def ready(admin: int) -> bool:
    with Connection("127.0.0.1", admin, timeout=5) as connection:
        return connection.get("/readyz").status == 200


def delivered(bridge: Bridge) -> int:
    return len(bridge.events("verdict", status=200))


def test_one_of_three_bridges_and_one_of_three_nodes_killed(start_bridge, sns, record, haproxy):
    with Cluster() as cluster:
        cluster.nodes[0].declare(QUEUE, kind="quorum", **{"x-quorum-initial-group-size": 3})
        admins = [free_port() for _ in cluster.nodes]
        bridges = []
        for place, admin in enumerate(admins):
            urls = [node.url for node in (*cluster.nodes[place:], *cluster.nodes[:place])]
            own = {"BRIDGE_AMQP_URL": ",".join(urls), "BRIDGE_ADMIN_LISTEN": f"127.0.0.1:{admin}"}
            bridges.append(start_bridge(**own, BRIDGE_ROUTING_KEY=QUEUE, BRIDGE_LOG_LEVEL="debug"))
        servers = [
            f"    server bridge{place} 127.0.0.1:{bridge.port} port {admin}"
            for place, (bridge, admin) in enumerate(zip(bridges, admins, strict=True))
        ]
        front = haproxy(CONFIGURATION, servers="\n".join(servers))
        leader = cluster.leader(QUEUE)
        others = [node for node in cluster.nodes if node is not leader]
        # The bridge on the leader stays: it has to find another node. One of the other two goes.
        victim = bridges[(cluster.nodes.index(leader) + 1) % 3]
        stay = [bridge for bridge in bridges if bridge is not victim]
        with Load(sns, Endpoint(f"http://127.0.0.1:{front}/")) as load:
            load.wait_for_sent(300)
            wait_for("deliveries by each bridge", lambda: all(map(delivered, bridges)))
            victim.kill()
            load.wait_for_sent(300)
            leader.kill()
            load.over()
            wait_for("a bridge that found another node", lambda: any(len(bridge.events("broker_connected")) > 1 for bridge in stay), 30)
            load.wait_for_sent(300)
            before = [delivered(bridge) for bridge in stay]
            wait_for("deliveries by both", lambda: all(delivered(one) > count for one, count in zip(stay, before, strict=True)))
            leader.start()
            victim.start()
            wait_for("three bridges that are ready", lambda: all(map(ready, admins)), 30)
            wait_for("deliveries by the one that came back", lambda: delivered(victim))
        fault = "three bridges behind haproxy, cluster of three: one bridge killed, then the leader"
        row = record(fault, load, others[0].take(QUEUE))
        assert row["recovers within"] <= 10
        assert row["worst answer"] <= 10.5
    assert load.statuses() <= {0, 200, 403, 502, 503}
