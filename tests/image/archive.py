"""Reads dist/image.tar: an OCI layout."""

import gzip
import hashlib
import io
import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

DIST = Path(__file__).resolve().parents[2] / "dist"
PROMISES = tomllib.loads((Path(__file__).parent / "promises.toml").read_text())


class Image:
    """The parts of the archive: members, manifest, config, layer (packed), entries and files of the layer."""

    def __init__(self, path: Path = DIST / "image.tar") -> None:
        with tarfile.open(path) as tar:
            self.members = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]
        self.index = json.loads(self.members["index.json"])
        self.manifest = self.blob(self.index["manifests"][0])
        self.config = self.blob(self.manifest["config"])
        self.packed = self.members["blobs/sha256/" + self.manifest["layers"][0]["digest"].removeprefix("sha256:")]
        self.layer = gzip.decompress(self.packed)
        with tarfile.open(fileobj=io.BytesIO(self.layer)) as tar:
            self.entries = tar.getmembers()
            self.files = {"/" + entry.name: tar.extractfile(entry).read() for entry in self.entries if entry.isfile()}  # type: ignore[union-attr]

    def blob(self, descriptor: dict[str, Any]) -> Any:
        """The JSON that a descriptor names, checked by its digest and size."""
        data = self.members["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert descriptor["size"] == len(data)
        return json.loads(data)
