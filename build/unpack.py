"""unpack.py IMAGE.tar FOLDER: lay the image's files out in a folder, as docker/Dockerfile copies them."""

import gzip
import io
import json
import sys
import tarfile
from pathlib import Path


def unpack(image: Path, folder: Path) -> None:
    """Extract the layer with its modes and times."""
    with tarfile.open(image) as tar:
        blobs = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]
    (described,) = json.loads(blobs["manifest.json"])
    for name in described["Layers"]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blobs[name]))) as layer:
            layer.extraction_filter = getattr(tarfile, "tar_filter", None)  # type: ignore[assignment] # Debian 12's Python has none yet
            layer.extractall(folder)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
