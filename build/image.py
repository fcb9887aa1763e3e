"""Step 12: the image, written by hand: eight files, one layer, an OCI layout that `docker load` reads as well.

The same files give the same digests: names are in order, the owner is 0, all times are one, and the umask has no effect.
"""

import base64
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import cpython
import fetch
import freeze
import init
import pack
import sums
from attribution import groups
from components import components, notice
from recipe import ARCH, CREATED, DIST, EPOCH, NAME, PROJECT, ROOT, BuildError, main, say
from sbom import document, frozen_modules
from treemap import svg

CA_FILE = "etc/ssl/certs/ca-certificates.crt"

# The roots that SNS's certificates chain to, as Amazon Trust Services publishes their SHA-256 fingerprints.
ROOTS = {
    "Amazon Root CA 1": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "Amazon Root CA 2": "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "Amazon Root CA 3": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "Amazon Root CA 4": "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "Starfield Services Root Certificate Authority - G2": "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
}


def roots() -> bytes:
    """Return the PEM of ROOTS, found in certifi's bundle by their fingerprints."""
    text = (fetch.unpacked("certifi") / "certifi/cacert.pem").read_text()
    found = {}
    for block in text.split("-----BEGIN CERTIFICATE-----")[1:]:
        body = block.split("-----END CERTIFICATE-----")[0]
        found[hashlib.sha256(base64.b64decode(body)).hexdigest()] = body.strip()
    missing = [name for name, fingerprint in ROOTS.items() if fingerprint not in found]
    if missing:
        raise BuildError(f"certifi no longer carries {', '.join(missing)}")
    return "".join(
        f"{name}\n-----BEGIN CERTIFICATE-----\n{found[fingerprint]}\n-----END CERTIFICATE-----\n" for name, fingerprint in ROOTS.items()
    ).encode()


def contents() -> dict[str, tuple[int, bytes]]:
    """Return the image's files: path -> (mode, content)."""
    programs, packed = init.build(), pack.build()
    docker = ROOT / "docker"
    found = {
        "NOTICE": (0o644, notice(components()).encode()),
        "bin/bridge": (0o755, (packed / "bridge").read_bytes()),
        "etc/group": (0o644, (docker / "group").read_bytes()),
        "etc/passwd": (0o644, (docker / "passwd").read_bytes()),
        "etc/protocols": (0o644, (docker / "protocols").read_bytes()),
        CA_FILE: (0o644, roots()),
        "sbin/dumb-init": (0o755, (programs / "dumb-init").read_bytes()),
        "sbin/su-exec": (0o755, (programs / "su-exec").read_bytes()),
    }
    return dict(sorted(found.items()))


def archive(files: dict[str, tuple[int, bytes]]) -> bytes:
    """Return a tar of the files and the folders above them."""
    out = io.BytesIO()
    folders = sorted({str(parent) for name in files for parent in Path(name).parents if str(parent) != "."})
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, EPOCH
            tar.addfile(entry)
        for name, (mode, content) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), mode, EPOCH
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def gzipped(content: bytes) -> bytes:
    """Return the content in gzip's format, by the pinned zlib of the interpreter that was built, so that its bytes are fixed too."""
    program = "import sys,zlib;c=zlib.compressobj(9,8,31);sys.stdout.buffer.write(c.compress(sys.stdin.buffer.read())+c.flush())"
    command = [cpython.interpreter() / "bin/python3.13", "-I", "-c", program]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def labels(version: str, revision: str) -> dict[str, str]:
    """Return the OCI annotations, which are the labels too."""
    prefix = "org.opencontainers.image."
    values = {
        "title": NAME,
        "description": "Receives Amazon SNS notifications, verifies them, publishes them to RabbitMQ",
        "source": source(),
        "revision": revision,
        "version": version,
        "licenses": "MIT",
        "base.name": "scratch",
        "created": CREATED,
    }
    return {prefix + key: value for key, value in values.items() if value}


def config(layer: bytes, version: str, revision: str) -> bytes:
    """Return the image's configuration for an uncompressed layer."""
    run = {
        "Env": ["PATH=/sbin:/bin"],
        "Entrypoint": ["/sbin/dumb-init"],
        "Cmd": ["/sbin/su-exec", "bridge", "/bin/bridge"],
        "ExposedPorts": {"3000/tcp": {}},
        "WorkingDir": "/",
        "StopSignal": "SIGTERM",
        "Labels": labels(version, revision),
        "Healthcheck": {"Test": ["CMD", "/bin/bridge", "healthcheck"], "Interval": 30_000_000_000, "Timeout": 5_000_000_000},
    }
    whole = {
        "architecture": ARCH,
        "os": "linux",
        "created": CREATED,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": CREATED, "created_by": f"{NAME} build/image.py", "comment": "FROM scratch"}],
    }
    return json.dumps(whole, sort_keys=True).encode()


def descriptor(kind: str, content: bytes, **more: object) -> dict[str, object]:
    """Return an OCI descriptor of a blob."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": len(content)} | more


def layout(layer: bytes, packed: bytes, version: str, revision: str) -> dict[str, tuple[int, bytes]]:
    """Return the files of dist/image.tar: an OCI layout, and manifest.json for `docker load`."""
    setup = config(layer, version, revision)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", setup),
        "layers": [descriptor("layer.v1.tar+gzip", packed)],
        "annotations": labels(version, revision),
    }
    body = json.dumps(manifest, sort_keys=True).encode()
    tag = f"localhost/{NAME}:{version}"
    platform = {"architecture": ARCH, "os": "linux"}
    named = {"org.opencontainers.image.ref.name": version, "io.containerd.image.name": tag}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor("manifest.v1+json", body, platform=platform, annotations=named)],
    }
    blobs = {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": blob for blob in (setup, packed, body)}
    place = {blob: name for name, blob in blobs.items()}
    docker = [{"Config": place[setup], "RepoTags": [tag], "Layers": [place[packed]]}]
    found = {name: (0o644, blob) for name, blob in blobs.items()}
    found["oci-layout"] = (0o644, b'{"imageLayoutVersion": "1.0.0"}')
    found["index.json"] = (0o644, json.dumps(index, sort_keys=True).encode())
    found["manifest.json"] = (0o644, json.dumps(docker, sort_keys=True).encode())
    return dict(sorted(found.items()))


def source() -> str:
    """Return pyproject.toml's `[project.urls] Source`, "" when it has none; then the label is left out."""
    return str(PROJECT.get("urls", {}).get("Source", ""))


def version() -> str:
    """Return the bridge's version."""
    text = (ROOT / "bridge/version.py").read_text()
    return text.split('VERSION = "')[1].split('"')[0]


def report(files: dict[str, bytes], layer: int) -> None:
    """Write the bill of materials, the sizes and their picture beside the image, and the digests of all."""
    (DIST / "sbom.spdx.json").write_text(document(components(), version(), frozen_modules(freeze.objects() / "report.xml"), files))
    inside = groups(pack.build() / "bridge.map")
    sizes = {f"/{name}": len(content) for name, content in files.items()}
    told = {"arch": ARCH, "files": sizes, "sum": sum(sizes.values()), "layer": layer}
    told["unpacked"] = {"/bin/bridge": (pack.build() / "bridge.unpacked").stat().st_size, "inside": inside}
    onefile = DIST / "bridge.onefile"
    if onefile.exists():
        told["unpacked"]["dist/bridge.onefile"] = onefile.stat().st_size
    (DIST / "size.json").write_text(json.dumps(told, indent=1) + "\n")
    share = sizes["/bin/bridge"] / sum(inside.values())
    parts = {name: round(size * share) for name, size in inside.items()} | {k: v for k, v in sizes.items() if k != "/bin/bridge"}
    title = f"{told['sum']:,} bytes in {len(sizes)} files; inside /bin/bridge, shares of the unpacked {sum(inside.values()):,}"
    (DIST / "size.svg").write_text(svg(title, parts))
    sums.write()


def build() -> Path:
    """Write dist/image.tar and what stands beside it; return its path."""
    files = contents()
    layer = archive(files)
    packed = gzipped(layer)
    DIST.mkdir(parents=True, exist_ok=True)
    (DIST / "image.tar").write_bytes(archive(layout(layer, packed, version(), freeze.revision())))
    report({name: content for name, (_, content) in files.items()}, len(packed))
    say("image", f"{sum(len(content) for _, content in files.values())} bytes in {len(files)} files, {len(packed)} compressed")
    return DIST / "image.tar"


if __name__ == "__main__":
    main(build)
