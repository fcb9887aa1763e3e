"""dist/SHA256SUMS: the digests of the files in dist, written again by every step that puts a file there, so that none is stale."""

import hashlib

from recipe import DIST

NAMES = """
bridge bridge.unpacked bridge.onefile offsets.json image.tar image-index.tar sbom.spdx.json size.json size.svg sources.tar
""".split()


def write() -> None:
    """Write dist/SHA256SUMS over those files of NAMES that exist, in the form that `sha256sum --check` reads."""
    lines = []
    for name in NAMES:
        if (DIST / name).exists():
            with (DIST / name).open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    new = DIST / ".SHA256SUMS"
    new.write_text("".join(lines))
    new.replace(DIST / "SHA256SUMS")
