"""The stream under pika: pika's documented I/O services interface with a transport of our own.

pika's own transport sends each of a publish's three frames by itself, and turns the writability watcher on and off around
it. This one gathers all that a turn of the loop writes and sends it at once, plain or by TLS.
Source: `pika.adapters.utils.nbio_interface`, whose contracts the docstrings there give.
"""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pika.adapters.utils.nbio_interface import AbstractIOReference, AbstractStreamProtocol, AbstractStreamTransport
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

from bridge.sockets import READ, WRITE, awaited, is_tls, shake_hands

if TYPE_CHECKING:
    import ssl

MAX_UNSENT = 16 << 20  # bytes that may wait for a broker that does not read
LARGE = 131072  # bytes written at once that are sent at once, so that copies of several large messages do not add up
RECEIVE = 16384  # bytes a recv: small enough that no allocator maps and unmaps pages for it


class Transport(AbstractStreamTransport):
    """An AbstractStreamTransport over a connected, non-blocking socket (TLS: after the handshake)."""

    def __init__(self, sock: socket.socket, protocol: AbstractStreamProtocol, services: "Services") -> None:
        self._sock = sock
        self._protocol = protocol
        self._services = services
        self._written: list[bytes] = []  # in this turn
        self._unsent: bytes | memoryview = b""  # what the socket did not take; it is sent first and unchanged, as TLS requires
        self._counted = 0  # bytes that wait to be sent, as the services were told last
        self._open = True
        self.turned = True  # whether the loop has turned since a publish last looked at the clock
        self._tls = is_tls(sock)
        services.set_reader(sock.fileno(), self._readable)

    def write(self, data: bytes) -> None:
        """Send data (bytes, never empty) at the end of this turn; at once if it is LARGE."""
        self._written.append(data)
        if len(data) >= LARGE:
            self.flush()

    def flush(self) -> None:
        """Send what was written, or as much as the socket takes; the rest when it is writable again."""
        self.turned = True
        if self._written and not self._unsent and self._open:
            self._unsent = b"".join(self._written)
            self._written.clear()
            self._send()
            if self._unsent and self._open:
                self._services.set_writer(self._sock.fileno(), self._writable)
        if self._unsent or self._counted:
            self._count()

    def _count(self) -> None:
        waiting = self.get_write_buffer_size()
        self._services.count(waiting - self._counted)
        self._counted = waiting

    def _send(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except OSError as error:
            if not awaited(error, WRITE):
                self._end(error)
            return
        self._unsent = memoryview(self._unsent)[sent:] if sent < len(self._unsent) else b""

    def _writable(self) -> None:
        self._send()
        if self._open and not self._unsent:
            self._services.remove_writer(self._sock.fileno())
        self.flush()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(RECEIVE)
            while data:
                self._protocol.data_received(data)
                if not (self._tls and self._open and self._sock.pending()):  # type: ignore[attr-defined]
                    return
                data = self._sock.recv(RECEIVE)
        except Exception as error:  # pika raises exceptions of its own for a breach of the protocol
            if not awaited(error, READ):
                self._end(error)
            return
        self._protocol.eof_received()
        self._end(None)

    @property
    def congested(self) -> bool:
        """Whether the broker has stopped reading, and more than MAX_UNSENT waits for it. Requests end in time; their bytes here stay."""
        return bool(self._unsent) and self.get_write_buffer_size() > MAX_UNSENT

    def abort(self) -> None:
        """Close the socket without sending what is left; connection_lost follows in a later turn."""
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if not self._open:
            return
        self._open = False
        self._services.forget(self)
        descriptor = self._sock.fileno()
        self._services.remove_reader(descriptor)
        self._services.remove_writer(descriptor)
        self._written.clear()
        self._unsent = b""
        self._count()

        def lost() -> None:
            self._sock.close()
            self._protocol.connection_lost(error)

        self._services.add_callback_threadsafe(lost)

    def get_protocol(self) -> AbstractStreamProtocol:
        """Return the protocol at the other end of this transport."""
        return self._protocol

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return len(self._unsent) + sum(map(len, self._written))


class _Connecting(AbstractIOReference):
    """The time between a connected socket and its transport: the TLS handshake, in steps on the loop."""

    def __init__(
        self,
        services: "Services",
        protocol_factory: Callable[[], AbstractStreamProtocol],
        sock: socket.socket,
        on_done: Callable[[Any], None],
        context: "ssl.SSLContext | None",
        server_hostname: str | None,
    ) -> None:
        self._services, self._protocol_factory, self._sock, self._on_done = services, protocol_factory, sock, on_done
        self._tls, self._hostname = context, server_hostname
        self._over = False
        services.add_callback_threadsafe(self._begin)

    def cancel(self) -> bool:
        """Give up, so that on_done is not called; tell whether it had not been called yet."""
        if self._over:
            return False
        self._finish()
        self._sock.close()
        return True

    def _begin(self) -> None:
        if self._over:
            return
        if self._tls is not None:
            try:
                self._sock = self._tls.wrap_socket(
                    self._sock, server_hostname=self._hostname, do_handshake_on_connect=False, suppress_ragged_eofs=False
                )
            except (OSError, ValueError) as error:
                self._fail(error)
                return
        self._step()

    def _shaken(self) -> bool:
        """Take a step of the handshake; tell whether it is done."""
        descriptor = self._sock.fileno()
        try:
            event = shake_hands(self._sock)
        except OSError as error:
            self._fail(error)
            return False
        if event == READ:
            self._services.remove_writer(descriptor)
            self._services.set_reader(descriptor, self._step)
        elif event == WRITE:
            self._services.remove_reader(descriptor)
            self._services.set_writer(descriptor, self._step)
        return not event

    def _step(self) -> None:
        if self._tls is not None and not self._shaken():
            return
        self._finish()
        protocol = self._protocol_factory()
        transport = self._services.adopt(self._sock, protocol)
        protocol.connection_made(transport)
        self._on_done((transport, protocol))

    def _finish(self) -> None:
        self._over = True
        self._services.remove_reader(self._sock.fileno())
        self._services.remove_writer(self._sock.fileno())

    def _fail(self, error: Exception) -> None:
        self._finish()
        self._sock.close()
        self._on_done(error)


class _Answer(AbstractIOReference):
    """An answer that is known already. It is told in a later turn, as pika requires."""

    def __init__(self, services: "Services", answer: Any, on_done: Callable[[Any], None]) -> None:
        self._on_done: Callable[[Any], None] | None = on_done
        services.add_callback_threadsafe(lambda: self._tell(answer))

    def _tell(self, answer: Any) -> None:
        on_done, self._on_done = self._on_done, None
        if on_done is not None:
            on_done(answer)

    def cancel(self) -> bool:
        """Give up, so that the answer is not told; tell whether it had not been told yet."""
        on_done, self._on_done = self._on_done, None
        return on_done is not None


class Services(SelectorIOServicesAdapter):
    """pika's I/O services, with our transport in place of pika's. It has two transports while a connection replaces another."""

    def __init__(self, native_loop: Any) -> None:
        super().__init__(native_loop)
        self.transports: list[Transport] = []
        self.count: Callable[[int], None] = lambda _more: None  # called with how many bytes more wait for a broker that does not read

    def getaddrinfo(
        self, host: str, port: int, on_done: Callable[[Any], None], family: int = 0, socktype: int = 0, proto: int = 0, flags: int = 0
    ) -> AbstractIOReference:
        """See `AbstractIOServices.getaddrinfo`. pika asks for a name in a thread; an address needs none.

        When no thread can start (a limit on processes), the answer is an error, and the publisher tries again later.
        """
        answer: Any
        try:
            answer = socket.getaddrinfo(host, port, family, socktype, proto, flags | socket.AI_NUMERICHOST)
        except OSError:  # it is a name
            try:
                return super().getaddrinfo(host, port, on_done, family, socktype, proto, flags)
            except RuntimeError as error:
                answer = OSError(f"the broker's name can't be looked up now: {error} (a limit on processes or threads)")
        return _Answer(self, answer, on_done)

    def create_streaming_connection(  # type: ignore[override,unused-ignore]
        self,
        protocol_factory: Callable[[], AbstractStreamProtocol],
        sock: socket.socket,
        on_done: Callable[[Any], None],
        ssl_context: "ssl.SSLContext | None" = None,
        server_hostname: str | None = None,
    ) -> AbstractIOReference:
        """See `AbstractIOServices.create_streaming_connection`."""
        return _Connecting(self, protocol_factory, sock, on_done, ssl_context, server_hostname)

    def adopt(self, sock: socket.socket, protocol: AbstractStreamProtocol) -> Transport:
        """Make a transport that `flush` sends for from now on."""
        transport = Transport(sock, protocol, self)
        self.transports.append(transport)
        return transport

    def forget(self, transport: Transport) -> None:
        """The transport has ended."""
        if transport in self.transports:
            self.transports.remove(transport)

    def flush(self) -> None:
        """Send what this turn of the loop has written."""
        for transport in self.transports[:]:
            transport.flush()
