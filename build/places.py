"""The places that are asked in turn for the files of a pinned Debian package, and the check of every file.

A mirror drops a version when the next one is out. Its pool keeps the files for some time, and the archive of all that Debian ever
published keeps them for good. Every file is checked by its SHA-256, so the place and plain HTTP do not matter.
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from recipe import BuildError

# Debian's archive of everything, by its interface for programs (https://salsa.debian.org/snapshot-team/snapshot/raw/master/API).
ARCHIVE = os.environ.get("DEBIAN_ARCHIVE") or "http://snapshot.debian.org"

TIMEOUT = 60  # seconds that a server may be silent
DEADLINE = 1800  # seconds for one file
PAUSES = (2.0, 8.0)  # seconds before each further try at a server that is overloaded or can't be reached
SMALL = 4 << 20  # bytes at most of a .dsc and of an answer in JSON
LARGE = 256 << 20  # of a .deb; the files of a source package have their size in the .dsc


class Wanted(NamedTuple):
    """One pinned Debian package: a source package by its .dsc, or a binary package by its .deb."""

    package: str
    version: str
    source: str  # the source package's name, after which the pool's folder is called
    file: str  # the .dsc or the .deb
    sha256: str  # of that file


Place = tuple[str, Callable[[Wanted, Path], None]]


def source_package(package: str, version: str, dsc: str) -> Wanted:
    """Return the source package whose .dsc has this SHA-256."""
    return Wanted(package, version, package, f"{package}_{plain(version)}.dsc", dsc)


def binary_package(package: str, version: str, source: str, deb: str, arch: str = "amd64") -> Wanted:
    """Return the binary package whose .deb has this SHA-256."""
    return Wanted(package, version, source, f"{package}_{plain(version)}_{arch}.deb", deb)


def plain(version: str) -> str:
    """Return the version as file names have it: without its epoch."""
    return version.split(":", 1)[-1]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked(path: Path, expected: str) -> None:
    """Raise BuildError when the file's SHA-256 is not the one written down."""
    found = sha256_of(path)
    if found != expected:
        raise BuildError(f"{path.name}: its SHA-256 is {found}, expected {expected}")


def files_of(dsc: str) -> dict[str, tuple[str, int]]:
    """Return what a .dsc names: file name -> (SHA-256, size in bytes). Raises BuildError when it names nothing (Debian policy, 5.6.24)."""
    field = re.search(r"^Checksums-Sha256:[ \t]*\n((?: .*\n?)+)", dsc, re.M)
    lines = re.findall(r"^ ([0-9a-f]{64}) (\d+) ([\w.+~-]+)$", field[1] if field else "", re.M)
    if not lines:
        raise BuildError("the .dsc names no files by their SHA-256")
    return {name: (digest, int(size)) for digest, size, name in lines}


def read(url: str, limit: int, sink: Callable[[bytes], object]) -> None:
    """Give the body that a URL answers to `sink`, in pieces.

    Raises BuildError when the answer is no 200, is larger than `limit` bytes, or takes longer than DEADLINE seconds."""
    until, size = time.monotonic() + DEADLINE, 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            while piece := answer.read(1 << 16):
                size += len(piece)
                if size > limit:
                    raise BuildError(f"{url} is larger than the {limit} bytes expected")
                if time.monotonic() > until:
                    raise BuildError(f"{url} took longer than {DEADLINE} s")
                sink(piece)
    except urllib.error.HTTPError as error:
        raise BuildError(f"{url} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BuildError(f"{url}: {error}") from error


def tried(url: str, limit: int, begin: Callable[[], Callable[[bytes], object]]) -> None:
    """Read a URL, and again after each of PAUSES while the server is overloaded or can't be reached; `begin` returns a new sink."""
    for pause in (*PAUSES, None):
        try:
            read(url, limit, begin())
            break
        except BuildError as error:
            cause = error.__cause__
            again = cause.code in (429, 500, 502, 503, 504) if isinstance(cause, urllib.error.HTTPError) else cause is not None
            if pause is None or not again:
                raise
            time.sleep(pause)


def download(url: str, path: Path, sha256: str, limit: int) -> None:
    """Write a URL's answer to a file. Raises BuildError when the request fails, or the SHA-256 differs."""
    with path.open("wb") as out:

        def begin() -> Callable[[bytes], object]:
            out.seek(0)
            out.truncate()
            return out.write

        tried(url, limit, begin)
    checked(path, sha256)


def document(url: str) -> object:
    """Return the JSON that a URL answers; raises BuildError."""
    pieces: list[bytes] = []

    def begin() -> Callable[[bytes], object]:
        pieces.clear()
        return pieces.append

    tried(url, SMALL, begin)
    try:
        return json.loads(b"".join(pieces))
    except ValueError as error:
        raise BuildError(f"{url} answered no JSON: {error}") from error


def whole(wanted: Wanted, work: Path, bring: Callable[[str, Path, str, int], None]) -> None:
    """Let bring(name, path, SHA-256, limit) fetch the package's file and, of a source package, those that it names."""
    bring(wanted.file, work / wanted.file, wanted.sha256, SMALL if wanted.file.endswith(".dsc") else LARGE)
    if wanted.file.endswith(".dsc"):
        for name, (sha256, size) in files_of((work / wanted.file).read_text()).items():
            bring(name, work / name, sha256, size)


def kept(folder: Path) -> Place:
    """Return the place that is a folder with the files, as `make sources` packs it."""

    def bring(name: str, path: Path, sha256: str, limit: int) -> None:
        if not (folder / name).is_file():
            raise BuildError(f"{folder} has no {name}")
        shutil.copyfile(folder / name, path)
        checked(path, sha256)

    return f"the folder {folder}", lambda wanted, work: whole(wanted, work, bring)


def pool(bases: Callable[[], Iterable[str]]) -> Place:
    """Return the place that is a mirror's pool, by file name: the pool can have a version that the mirror's lists no longer name.

    `bases` returns the addresses to try, up to and with the component ("…/debian/pool/main")."""

    def bring(wanted: Wanted, work: Path) -> None:
        prefix = wanted.source[:4] if wanted.source.startswith("lib") else wanted.source[0]
        reasons = []
        for base in bases():
            folder = f"{base}/{prefix}/{wanted.source}"
            try:
                whole(wanted, work, lambda name, *rest, at=folder: download(f"{at}/{urllib.parse.quote(name)}", *rest))
                return
            except BuildError as error:
                reasons.append(str(error))
        raise BuildError("; ".join(reasons))

    return "the mirror's pool", bring


def archive(base: str) -> Place:
    """Return the place that keeps everything. It tells each file's own digest, by which the file is fetched."""

    def bring(wanted: Wanted, work: Path) -> None:
        kind, list_of = ("package", "srcfiles") if wanted.file.endswith(".dsc") else ("binary", "binfiles")
        version = urllib.parse.quote(wanted.version, safe="")
        address = f"{base.rstrip('/')}/mr/{kind}/{wanted.package}/{version}/{list_of}?fileinfo=1"
        found = document(address)
        try:
            names = {str(one["name"]): str(sha1) for sha1, all_ in found["fileinfo"].items() for one in all_}  # type: ignore[index]
        except (KeyError, TypeError, AttributeError) as error:
            raise BuildError(f"{address}: the answer does not have the documented form ({error!r})") from error

        def one(name: str, path: Path, sha256: str, limit: int) -> None:
            if not re.fullmatch("[0-9a-f]{40,64}", names.get(name, "")):
                raise BuildError(f"{address} names no {name}")
            download(f"{base.rstrip('/')}/file/{names[name]}", path, sha256, limit)

        whole(wanted, work, one)

    return f"the archive {base}", bring


def check(wanted: Wanted, work: Path) -> None:
    """Raise BuildError unless the folder has the package's files and each has its SHA-256."""

    def bring(name: str, path: Path, sha256: str, limit: int) -> None:
        if not path.is_file():
            raise BuildError(f"{name} was not brought")
        checked(path, sha256)

    whole(wanted, work, bring)


def obtain(wanted: Wanted, work: Path, places: Iterable[Place]) -> str:
    """Fill the folder with the package's files from the first place that has them; return that place's name.

    Raises BuildError with what each place said when none has them."""
    said = []
    for name, bring in places:
        try:
            bring(wanted, work)
            check(wanted, work)
            return name
        except BuildError as error:
            said.append(f"  {name}: {str(error).splitlines()[0]}")
            for path in work.glob(f"{wanted.source}_*"):
                path.unlink()
            (work / wanted.file).unlink(missing_ok=True)
    advice = "`make update ONLY=NAME` pins a version that is there; DEBIAN_ARCHIVE names another archive of old versions"
    raise BuildError("\n".join([f"{wanted.package} {wanted.version} was not found.", *said, advice]))
