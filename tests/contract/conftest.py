"""Independent implementations of SNS, as real processes: LocalStack (signs v1 and v2) and moto (v2 only).

localstack   its origin, http://localhost:PORT, from .venv-localstack (`make test` makes it)
named        the origin of another one, which puts Amazon's host into SigningCertURL (SNS_CERT_URL_HOST)
moto         its origin
front        moto's origin for the bridge, which asks without a signature
client       client(origin, service) -> a boto3 client, of SNS when no service is named
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.tools.bridge import ROOT
from tests.tools.ports import free_port, wait_for

REGION = "us-east-1"
SCOPE = f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/sns/aws4_request, SignedHeaders=host, Signature=0"
LOCALSTACK = ROOT / ".venv-localstack/bin/python"


def answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(url, timeout=2).status < 500
    return False


@contextlib.contextmanager
def running(words: list[str], health: str, environment: dict[str, str]) -> Iterator[None]:
    """Run a server until the block ends, from when it answers."""
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w+b") as log:
        base = {"PATH": os.environ["PATH"], "HOME": folder, "FILESYSTEM_ROOT": folder, "LANG": "C.UTF-8"}
        process = subprocess.Popen(words, env=base | environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(f"{words[2]} (see its log below)", lambda: process.poll() is not None or answers(health), 90, 0.2)
            if process.poll() is not None:
                raise AssertionError(f"{' '.join(words)} ended: {Path(folder, 'log').read_text()[-2000:]}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def running_localstack(**more: str) -> Iterator[str]:
    if not LOCALSTACK.exists():
        pytest.skip("LocalStack is not installed: make .venv-localstack/.ready")
    port = free_port()
    origin = f"http://localhost:{port}"
    settings = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"localhost:{port}",
        "SERVICES": "sns,sqs",
        "PROVIDER_OVERRIDE_SNS": "v2",  # the default one of this release is built on moto
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        **more,
    }
    with running([str(LOCALSTACK), "-m", "localstack.runtime.main"], origin + "/_localstack/health", settings):
        yield origin


@pytest.fixture(scope="session")
def localstack() -> Iterator[str]:
    with running_localstack() as origin:
        yield origin


@pytest.fixture
def named() -> Iterator[str]:
    with running_localstack(SNS_CERT_URL_HOST=f"sns.{REGION}.amazonaws.com") as origin:
        yield origin


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    port = free_port()
    origin = f"http://localhost:{port}"
    with running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], origin + "/moto-api/", {}):
        yield origin


@pytest.fixture(scope="session")
def client() -> Callable[..., Any]:
    return lambda origin, service="sns": boto3.client(
        service, endpoint_url=origin, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
    )


@pytest.fixture
def front(moto: str) -> Iterator[str]:
    """Add a signature to the request for a certificate, because moto tells its services apart by the scope of a signature."""

    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            request = urllib.request.Request(moto + self.path, headers={"Authorization": SCOPE})
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, body = error.code, b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
