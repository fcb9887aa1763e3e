"""The build's scripts, and a small Debian for them: a pool and an archive of everything, behind one HTTP server on loopback.

debian   a running Debian: `publish` puts a package there, `faults` makes an address fail
"""

import hashlib
import json
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build"))

DSC = "Format: 3.0 (quilt)\nSource: {name}\nVersion: {version}\nChecksums-Sha256:\n{sums}Files:\n d41d8cd98f00b204e9800998ecf8427e 1 x\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Debian:
    """A pool (…/debian/pool/main), a security pool, and the archive (…/snapshot) with its interface for programs.

    Attributes: url; files, path -> content; faults, a part of a path -> what to do instead of answering; asked, the paths in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []

    def publish(self, name: str, version: str, files: dict[str, bytes], pool: str = "debian/pool/main", kind: str = "package") -> None:
        """Put a package's files into a pool and the archive; kind is "package" for a source package, "binary" for a .deb."""
        prefix = name[:4] if name.startswith("lib") else name[0]
        fileinfo = {}
        for file, content in files.items():
            sha1 = hashlib.sha1(content).hexdigest()
            fileinfo[sha1] = [{"name": file, "archive_name": "debian", "path": f"/pool/main/{prefix}/{name}", "size": len(content)}]
            self.files |= {f"/{pool}/{prefix}/{name}/{file}": content, f"/snapshot/file/{sha1}": content}
        told = {"package": name, "version": version, "result": [{"hash": sha1} for sha1 in fileinfo], "fileinfo": fileinfo}
        listing = {"package": "srcfiles", "binary": "binfiles"}[kind]
        self.files[f"/snapshot/mr/{kind}/{name}/{version}/{listing}?fileinfo=1"] = json.dumps(told).encode()

    def source(self, name: str, version: str, **where: str) -> dict[str, str]:
        """Publish a source package of a tarball and Debian's changes; return what sources.toml would pin."""
        plain = version.split(":", 1)[-1]
        parts = {f"{name}_{plain.rsplit('-', 1)[0]}.orig.tar.gz": b"upstream " * 9000, f"{name}_{plain}.debian.tar.xz": b"debian " * 90}
        sums = "".join(f" {sha256(content)} {len(content)} {file}\n" for file, content in parts.items())
        dsc = DSC.format(name=name, version=version, sums=sums).encode()
        self.publish(name, version, {f"{name}_{plain}.dsc": dsc} | parts, **where)
        return {"package": name, "version": version, "dsc": sha256(dsc)}

    def forget(self, part: str) -> None:
        """Remove the files whose path has this part."""
        self.files = {path: content for path, content in self.files.items() if part not in path}


@pytest.fixture
def debian() -> Iterator[Debian]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urllib.parse.unquote(self.path)
            made.asked.append(path)
            for part, fault in made.faults.items():
                if part in path:
                    fault(self)
                    return
            found = made.files.get(path)
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        made = Debian(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        server.shutdown()
        thread.join()
