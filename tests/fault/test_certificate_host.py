"""The host of the signing certificate fails while a thousand deliveries wait: 503 within 10 s, few fetches, bounded memory."""

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bridge.simulate.certificates import Authority, Files
from bridge.simulate.delivery import Attempt
from bridge.simulate.sns import SNS, SNSRequest
from bridge.sns.certificates import MAX_WAITING_FOR_ONE
from tests.conftest import settings_for
from tests.fault.load import Load
from tests.fault.wrapped import Wrapped
from tests.tools.bridge import Bridge
from tests.tools.fault_crowd import post_at_once
from tests.tools.fault_proxy import FaultProxy

CROWD = 1000
MEMORY = 48 * 1024  # KiB that a thousand waiting deliveries may cost


class Scene(NamedTuple):
    """The certificate's host: SNS, and the proxy through which the bridge reaches it."""

    sns: SNS
    proxy: FaultProxy
    folder: Path

    def present(self, files: Files) -> None:
        """Show this certificate in TLS's handshake from now on."""
        self.sns._server.context.load_cert_chain(files.certificate, files.key)

    def mend(self) -> None:
        self.sns.certificate_answer = None
        self.present(self.sns.authority.issue(self.folder / "again", "localhost"))
        self.proxy.heal()


# ---- what the host does


def hangs(handler: SNSRequest) -> None:
    time.sleep(20)


def drips(handler: SNSRequest) -> None:
    """A byte every half second: no single read ever takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "2000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(60):
            handler.wfile.write(b"-")
            time.sleep(0.5)


def drips_head(handler: SNSRequest) -> None:
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(60):
            handler.wfile.write(f"X-{number}: x\r\n".encode())
            time.sleep(0.5)


def ten_megabytes(handler: SNSRequest) -> None:
    with contextlib.suppress(OSError):
        handler.answer(200, b"x" * 10_000_000)


def endless(handler: SNSRequest) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def redirect(handler: SNSRequest) -> None:
    handler.answer(302, b"", Location=f"{handler.sns.endpoint}/elsewhere")


def refuses(scene: Scene) -> None:
    scene.proxy.refuse()


def black_hole(scene: Scene) -> None:
    """TLS's handshake hangs."""
    scene.proxy.black_hole()


def wrong_name(scene: Scene) -> None:
    """From the right CA, for another host."""
    scene.present(scene.sns.authority.issue(scene.folder / "elsewhere", "elsewhere.example"))


def wrong_ca(scene: Scene) -> None:
    scene.present(Authority(scene.folder / "other", "other").issue(scene.folder / "localhost", "localhost"))


def answers(behaviour: object) -> Callable[[Scene], None]:
    def bend(scene: Scene) -> None:
        scene.sns.certificate_answer = behaviour  # type: ignore[assignment]

    return bend


FAULTS: dict[str, Callable[[Scene], None]] = {
    "refuses": refuses,
    "hangs before TLS": black_hole,
    "hangs before its answer": answers(hangs),
    "500": answers((500, b"")),
    "redirect": answers(redirect),
    "10 MB": answers(ten_megabytes),
    "endless body": answers(endless),
    "garbage": answers((200, b"\x00garbage")),
    "empty": answers((200, b"")),
    "wrong name": wrong_name,
    "wrong CA": wrong_ca,
    "slow drip of the body": answers(drips),
    "slow drip of the head": answers(drips_head),
}
QUICK = {"redirect", "10 MB"}


def memory(bridge: Bridge, field: str = "VmHWM") -> int:
    """KiB of resident memory, now (VmRSS) or at most (VmHWM)."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{bridge.pid()}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def judge_crowd(bridge: Bridge, sns: SNS) -> list[Attempt]:
    """A thousand deliveries at once: each is 503 within 10 s, and memory stays bounded."""
    before = memory(bridge)
    attempts = post_at_once(list(sns.notifications(CROWD)), bridge.host, bridge.port)
    whys = [attempt.why for attempt in attempts if attempt.status == 503]
    assert set(whys) <= {"certificate-unavailable", "overloaded"} and len(whys) == CROWD
    assert whys.count("certificate-unavailable") >= MAX_WAITING_FOR_ONE, "as many as may wait, and those who come after the fetch"
    assert max(attempt.seconds for attempt in attempts) <= 10.5
    assert memory(bridge) - before < MEMORY
    return attempts


@pytest.mark.parametrize("fault", [pytest.param(name, marks=pytest.mark.quick) if name in QUICK else name for name in FAULTS])
def test_a_certificate_host_in_trouble(fault, broker, queue, start_bridge, sns, folder, record):
    port = int(sns.endpoint.rpartition(":")[2])
    with FaultProxy(port) as proxy:
        scene = Scene(sns, proxy, folder)
        endpoint = f"https://localhost:{proxy.port}"
        sns.signer.certificate_url = endpoint + sns.certificate_path
        bridge = start_bridge(BRIDGE_SNS_ENDPOINT=endpoint)
        FAULTS[fault](scene)
        crowd = judge_crowd(bridge, sns)
        fetches = max(proxy.connections, len(sns.requests))
        assert fetches <= 2, f"{fetches} fetches for a thousand deliveries"
        with Load(sns, bridge.endpoint()) as load:
            load.beside = crowd
            load.wait_for_sent(100)
            scene.mend()
            load.over()
        record(f"certificate host: {fault}", load, broker.take(queue))
        assert set(sns.requests) <= {sns.certificate_path}


def test_a_certificate_host_without_a_name(broker, queue, sns, folder, record):
    """DNS fails, and comes back: the bridge has an /etc/hosts of its own, in a mount namespace."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 nobody\n")
    name, _, port = sns.endpoint.partition("://")[2].rpartition(":")
    assert name == "localhost"
    sns._server.context.load_cert_chain(*sns.authority.issue(folder / "named", "sns.invalid"))
    endpoint = f"https://sns.invalid:{port}"
    sns.signer.certificate_url = endpoint + sns.certificate_path
    prefix = ("unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh")
    with Wrapped(prefix=prefix, **settings_for(sns, broker.url, queue) | {"BRIDGE_SNS_ENDPOINT": endpoint}) as bridge:
        bridge.wait_for("broker_connected")
        crowd = judge_crowd(bridge, sns)
        with Load(sns, bridge.endpoint()) as load:
            load.beside = crowd
            load.wait_for_sent(100)
            hosts.write_text("127.0.0.1 sns.invalid\n")
            load.over()
        record("certificate host: DNS fails", load, broker.take(queue))
