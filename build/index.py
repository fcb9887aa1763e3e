"""`make image-index`: the images of all architectures in one OCI archive, for a registry: each puller gets its own."""

import hashlib
import json
import tarfile
from pathlib import Path

import sums
from image import archive, descriptor
from recipe import DIST, NAME, SOURCES, BuildError, main, say


def members(path: Path) -> dict[str, bytes]:
    """Return the files of an archive that image.py wrote."""
    if not path.exists():
        raise BuildError(f"{path} is missing: make image-index makes all of them")
    with tarfile.open(path) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]


def annotations(image: dict[str, bytes], manifest: dict[str, str]) -> dict[str, str]:
    """Return the annotations of the image whose manifest is described."""
    blob = image["blobs/sha256/" + manifest["digest"].removeprefix("sha256:")]
    found: dict[str, str] = json.loads(blob)["annotations"]
    return found


def layout(images: list[dict[str, bytes]]) -> dict[str, tuple[int, bytes]]:
    """Return the files of the archive: all blobs, and one index in index.json that describes every image with its platform."""
    described = [json.loads(image["index.json"])["manifests"][0] for image in images]
    told = [annotations(image, manifest) for image, manifest in zip(images, described, strict=True)]
    if any(other != told[0] for other in told):
        raise BuildError("the images are not of one version and revision: make image-index makes all of them")
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    inner = {"manifests": [{k: v for k, v in one.items() if k != "annotations"} for one in described], "annotations": told[0]}
    body = json.dumps(index | inner, sort_keys=True).encode()
    found = {name: (0o644, blob) for image in images for name, blob in image.items() if name.startswith("blobs/")}
    found[f"blobs/sha256/{hashlib.sha256(body).hexdigest()}"] = (0o644, body)
    outer = {"manifests": [descriptor("index.v1+json", body, annotations=described[0]["annotations"])]}
    found["index.json"] = (0o644, json.dumps(index | outer, sort_keys=True).encode())
    found["oci-layout"] = (0o644, images[0]["oci-layout"])
    return dict(sorted(found.items()))


def build() -> Path:
    """Write dist/image-index.tar; return its path."""
    images = [members(DIST / ("" if arch == "amd64" else arch) / "image.tar") for arch in SOURCES["target"]]
    whole = archive(layout(images))
    (DIST / "image-index.tar").write_bytes(whole)
    sums.write()
    say("image-index", f"{NAME} for {', '.join(SOURCES['target'])}: {len(whole)} bytes")
    return DIST / "image-index.tar"


if __name__ == "__main__":
    main(build)
