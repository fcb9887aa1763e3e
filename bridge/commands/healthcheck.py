"""`bridge healthcheck`: ask the bridge on this machine whether it is ready, as a container's HEALTHCHECK does.

The admin listener knows (/readyz). Without one, /healthy on BRIDGE_LISTEN tells only that the process answers.
"""

import socket
import ssl

from bridge.config import Config
from bridge.console import say

PATIENCE = 2.0  # seconds for one request; two may be needed, and the image's HEALTHCHECK has a timeout of 5 s


def healthcheck(config: Config) -> int:
    """Print one line; return 0 when the bridge is ready, or healthy when no admin listener can be asked; else 1."""
    if config.admin_listen is not None:
        where = _where(config.admin_listen)
        try:
            status, text = _ask(where, f"/readyz?port={config.listen[1]}", None)
        except OSError as error:
            if config.admin_given:
                print(f"unhealthy: no answer from {where[0]}:{where[1]} (BRIDGE_ADMIN_LISTEN): {error.strerror or error}")
                return 1
        else:
            # another program may have the default address; the bridge serves all the same
            if status in ("200", "503") or config.admin_given:
                say(f"{'ready' if status == '200' else 'not ready'}: {text or status or 'not HTTP'}")
                return int(status != "200")
    return _healthy(config)


def _healthy(config: Config) -> int:
    if not config.listens:
        print("healthy: BRIDGE_LISTEN is off, and no admin listener answers")
        return 0
    host, port = where = _where(config.listen)
    try:
        status, _ = _ask(where, "/healthy", config)
    except OSError as error:
        if config.tls_client_ca_file and isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            print("healthy: the listener requires a client certificate, and this check has none")
            return 0
        print(f"unhealthy: no answer from {host}:{port} (BRIDGE_LISTEN): {error.strerror or error}")
        return 1
    if status == "200":
        print("healthy")
        return 0
    say(f"unhealthy: {host}:{port} (BRIDGE_LISTEN) answers {status or 'nothing'}")
    return 1


def _where(listen: tuple[str, int]) -> tuple[str, int]:
    """Return the address to connect to for an address to listen on."""
    host, port = listen
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104


def _ask(where: tuple[str, int], target: str, tls: Config | None) -> tuple[str, str]:
    """GET target; return the status and the body's first line, "" when the answer is not HTTP. Raises OSError."""
    with socket.create_connection(where, PATIENCE) as plain, _tls(tls, plain) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {where[0]}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while len(answer) < 4096:
            part = sock.recv(4096)
            if not part:
                break
            answer += part
    head, _, body = answer.decode("latin-1").partition("\r\n\r\n")
    return head[9:12] if head.startswith("HTTP/1.1 ") else "", body.partition("\n")[0]


def _tls(config: Config | None, plain: socket.socket) -> socket.socket:
    """Speak TLS if the listener does. Nothing is verified, because the certificate is this machine's own."""
    if config is None or not config.tls_cert:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if config.tls_client_ca_file:
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # there a missing certificate is refused within the handshake
    return context.wrap_socket(plain)
