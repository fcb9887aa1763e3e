"""What a non-blocking socket waits for, plain or of TLS, and the certificate that one of TLS shows. ssl is imported only by what speaks
TLS: it costs a start a tenth of its time and memory.

Source: Python's documentation of ssl, "Notes on non-blocking sockets" and `SSLContext.load_cert_chain`; poll(2).
"""

import select
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

READ, WRITE = select.POLLIN, select.POLLOUT  # the events of poll, of epoll and of pika's loop


def is_tls(sock: socket.socket) -> bool:
    """Tell whether a socket speaks TLS."""
    return hasattr(sock, "do_handshake")


def awaited(error: Exception, event: int) -> int:
    """Return the event that an operation has to wait for, READ or WRITE, as its error says; 0 when the error says something else.

    event is what the operation waits for on a plain socket. TLS may have to read before it can write, and the other way round.
    """
    if isinstance(error, BlockingIOError):
        return event
    tls = sys.modules.get("ssl")
    if tls is None:
        return 0
    if isinstance(error, tls.SSLWantReadError):
        return READ
    return WRITE if isinstance(error, tls.SSLWantWriteError) else 0


def shake_hands(sock: socket.socket) -> int:
    """Take a step of a TLS handshake; return the event that it waits for, READ or WRITE, or 0 when it is done.

    Raises OSError, ValueError.
    """
    try:
        sock.do_handshake()  # type: ignore[attr-defined]
    except OSError as error:
        event = awaited(error, READ)
        if not event:
            raise
        return event
    return 0


def load_certificate(context: "ssl.SSLContext", certificate: str, key: str) -> None:
    """Load the certificate chain that this side of a connection shows, and its key (paths of PEM files; "": the key is in the same file).

    Raises OSError, also for a key with a pass phrase: OpenSSL would ask the terminal for it, and the loop would stand still.
    """

    def none_given() -> str:
        raise OSError("the key has a pass phrase; store it without one")

    context.load_cert_chain(certificate, key or None, none_given)
