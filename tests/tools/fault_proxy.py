"""A TCP proxy that misbehaves on demand; it stands between the bridge and its broker, or between the bridge and SNS.

    with FaultProxy(broker.port) as proxy:
        BRIDGE_AMQP_URL=amqp://guest:guest@127.0.0.1:{proxy.port}/%2F
        proxy.black_hole()
        ...
        proxy.heal()

refuse          connections are reset, new ones refused
black_hole      nothing passes, either way; connections stay open, new ones are accepted and never answered
swallow         what the bridge sends is read and thrown away, and nothing comes back
half_open       the broker's side is closed, the bridge's side is not told
delay           seconds on every byte, each way
throttle        bytes a second, each way
reset_publish   so many times: a whole publish reaches the broker, then the bridge gets a RST and never the ack
refuse_renewal  a connection.update-secret is answered with connection.close 540, as by a broker that does not know it
reset_frame     so many times: half of a frame reaches the broker, then both sides get a RST
"""

import contextlib
import queue
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

from tests.tools.fault_frames import Frames, closing
from tests.tools.ports import free_port

CHUNK = 16384
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a RST


def reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        sock.shutdown(socket.SHUT_RD)  # wakes the thread that waits in recv
    sock.close()


class Link:
    """One connection through the proxy: two directions, each read by one thread and written by another, so that delay costs no rate."""

    def __init__(self, proxy: "FaultProxy", client: socket.socket, server: socket.socket) -> None:
        self._proxy, self.client, self.server = proxy, client, server
        self.silent = False  # nothing goes to the client any more
        self.swallows = False  # nothing goes to the broker any more
        self._frames = Frames()
        for source, target, up in ((client, server, True), (server, client, False)):
            waiting: queue.Queue[tuple[float, bytes]] = queue.Queue(4)
            threading.Thread(target=self._read, args=(source, waiting, up), daemon=True).start()
            threading.Thread(target=self._write, args=(target, waiting, up), daemon=True).start()

    def _read(self, source: socket.socket, waiting: "queue.Queue[tuple[float, bytes]]", up: bool) -> None:
        data = b"."
        while data:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            self._proxy.light.wait()
            if up and self._fire(data):
                return
            if up and self.swallows and data:
                continue
            waiting.put((time.monotonic() + self._proxy.latency, data))

    def _write(self, target: socket.socket, waiting: "queue.Queue[tuple[float, bytes]]", up: bool) -> None:
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            self._proxy.light.wait()
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                if up or not self.silent:
                    self._send(target, data)
            except OSError:
                self.cut()
                return

    def _send(self, target: socket.socket, data: bytes) -> None:
        rate = self._proxy.rate
        if not rate:
            target.sendall(data)
            return
        piece = max(1, rate // 20)
        for at in range(0, len(data), piece):
            target.sendall(data[at : at + piece])
            time.sleep(len(data[at : at + piece]) / rate)

    def _fire(self, data: bytes) -> bool:
        """Cut the connection if this is the moment that was asked for."""
        begun, whole = self._frames.feed(data)
        if not self._proxy.armed:
            return False
        if self._proxy.armed == "renewal" and self._frames.renewals:
            self.silent = True
            time.sleep(0.01)  # for what is being written to the client
            self.client.sendall(closing(540, "NOT_IMPLEMENTED"))
            with contextlib.suppress(OSError):
                self.server.shutdown(socket.SHUT_WR)
            self._proxy.refusals += 1
            return True
        if self._proxy.armed == "publish" and whole and self._proxy.take_shot():
            self.silent = True
            self.server.sendall(data)
            time.sleep(0.05)  # for the broker to store it: the worst moment
            self.cut(gently=True)
            return True
        if self._proxy.armed == "frame" and begun and self._proxy.take_shot():
            self.server.sendall(data[: len(data) // 2])
            time.sleep(0.01)
            self.cut()
            return True
        return False

    def cut(self, gently: bool = False) -> None:
        """RST to the bridge; to the broker too, unless gently: then it gets what was sent, and an end."""
        reset(self.client)
        if gently:
            with contextlib.suppress(OSError):
                self.server.shutdown(socket.SHUT_WR)
        else:
            reset(self.server)


class FaultProxy:
    """Attributes: port; target (host, port: where new connections go); connections (how many came so far); refusals (of a renewal)."""

    def __init__(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        self.target = target_host, target_port
        self.port = free_port()
        self.connections = self.refusals = 0
        self.latency = 0.0
        self.rate = 0
        self.light = threading.Event()  # off: everything is held
        self.light.set()
        self.armed = ""
        self._shots = 0
        self._lock = threading.Lock()
        self._links: list[Link] = []
        self._listener: socket.socket | None = None

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if listener is not self._listener:
                reset(client)
                continue
            self.connections += 1
            try:
                server = socket.create_connection(self.target, timeout=5)
                server.settimeout(None)
            except OSError:
                reset(client)
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links.append(Link(self, client, server))

    # ---- faults

    def refuse(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # close() alone does not end an accept() under way
            listener.close()
        self.cut_all()

    def black_hole(self) -> None:
        self.light.clear()

    def swallow(self) -> None:
        """Only connections that are open now; they stay so."""
        for link in self._links:
            link.swallows = link.silent = True

    def half_open(self) -> None:
        self.light.clear()
        for link in self._links:
            reset(link.server)

    def delay(self, seconds: float) -> None:
        self.latency = seconds

    def throttle(self, bytes_a_second: int) -> None:
        self.rate = bytes_a_second

    def reset_publish(self, times: int) -> None:
        self._shots, self.armed = times, "publish"

    def refuse_renewal(self) -> None:
        self.armed = "renewal"

    def reset_frame(self, times: int) -> None:
        self._shots, self.armed = times, "frame"

    def take_shot(self) -> bool:
        with self._lock:
            self._shots -= 1
            if self._shots <= 0:
                self.armed = ""
            return self._shots >= 0

    @property
    def shots_left(self) -> int:
        return max(0, self._shots)

    def cut_all(self) -> None:
        for link in self._links:
            link.cut()
        self._links.clear()

    def heal(self) -> None:
        """Behave. Bytes that were held go on, as TCP's retransmissions do when a network comes back."""
        self.latency, self.rate, self.armed = 0.0, 0, ""
        if self._listener is None:
            self._listen()
        self.light.set()

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.light.set()
        self.refuse()
