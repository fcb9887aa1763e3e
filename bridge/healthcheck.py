"""`bridge healthcheck`: ask the bridge that runs on this machine for /healthy, as a container's HEALTHCHECK does."""

import socket
import ssl

from bridge.config import Config

PATIENCE = 3.0  # seconds


def healthcheck(config: Config) -> int:
    """Print what it found; return 0 when the bridge answers 200, else 1."""
    host, port = config.listen
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    try:
        with socket.create_connection((host, port), PATIENCE) as plain, _tls(config, plain) as sock:
            sock.sendall(f"GET /healthy HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = sock.recv(64)
    except OSError as error:
        if config.tls_client_ca_file and isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            print("healthy: it asks for a client certificate, which this check has none of")
            return 0
        print(f"unhealthy: no answer from {host}:{port} (BRIDGE_LISTEN): {error.strerror or error}")
        return 1
    if answer.startswith(b"HTTP/1.1 200 "):
        print("healthy")
        return 0
    print(f"unhealthy: {host}:{port} (BRIDGE_LISTEN) answers {answer[9:12].decode('latin-1') or 'nothing'}")
    return 1


def _tls(config: Config, plain: socket.socket) -> socket.socket:
    """Speak TLS where the listener does. It is this machine's own certificate: nothing to verify."""
    if not config.tls_cert:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if config.tls_client_ca_file:
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # where the answer to a missing certificate belongs to the handshake
    return context.wrap_socket(plain)
