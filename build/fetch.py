"""Step 1: the sources, by name and version from Debian and PyPI, each checked by its SHA-256.

A Debian package is looked for in the cache, then in each of `places()`. A folder `sources` beside `build`, as in the archive of
`make sources`, replaces all of them, and the network is not used.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

from places import ARCHIVE, Place, Wanted, archive, binary_package, kept, obtain, pool, sha256_of, source_package
from recipe import CACHE, EPOCH, HERE, ROOT, SOURCES, BuildError, cached, digest, environment, main, needs, run, say

KEPT = ROOT / "sources"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")  # the keys that may sign a mirror's lists


def mirror() -> tuple[str, str]:
    """Return the machine's own Debian mirror and security mirror, as apt knows them."""
    wanted = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"]
    return mirrors_of(subprocess.run(wanted, capture_output=True, text=True, env=environment()).stdout)


def mirrors_of(targets: str) -> tuple[str, str]:
    """Return the mirrors that apt's lists (a line each, ORIGIN|LABEL|URI) came from; the security mirror may be missing there yet."""
    lines = [line.removeprefix("Debian|").rstrip("/") for line in targets.splitlines() if line.startswith("Debian|")]
    found = dict(line.split("|", 1) for line in lines)
    if "Debian" not in found:
        raise BuildError("apt knows no Debian mirror: run apt-get update on a Debian machine")
    return found["Debian"], found.get("Debian-Security", found["Debian"] + "-security")


@cache
def apt(suite: str = "") -> Path:
    """Return the configuration of an apt of our own, which does not touch the machine's. It knows the suites of sources.toml, or the
    sources of the suite that is named."""
    needs("apt-get")
    plain, security = mirror()
    stable, backports = SOURCES["debian"]["suite"], SOURCES["debian"]["backports"]
    signed = f"[signed-by={KEYRING}]"
    lines = [
        f"deb-src {signed} {plain} {stable} main",
        f"deb-src {signed} {plain} {stable}-updates main",
        f"deb-src {signed} {security} {stable}-security main",
        f"deb {signed} {plain} {backports} main",
        f"deb {signed} {plain} {backports.removesuffix('-backports')} main",
    ]
    more = 'Acquire::Languages "none";\nAPT::Sandbox::User "root";\nAcquire::Retries "3";\n'
    if suite:  # for a look, lists may have expired, because some mirrors are seldom updated
        lines, more = [f"deb-src {signed} {plain} {suite} main"], more + 'Acquire::Check-Valid-Until "false";\n'

    def make(work: Path) -> None:
        # apt wants absolute paths, and they are written for the folder's final name.
        home = CACHE / work.name.removesuffix(".work").removeprefix(".")
        for folder in ("lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/sources.list.d"):
            (work / folder).mkdir(parents=True)
        (work / "etc/sources.list").write_text("\n".join(lines) + "\n")
        options = f'Dir::Etc "{home}/etc";\nDir::State::Lists "{home}/lists";\nDir::Cache "{home}/cache";\n'
        (work / "apt.conf").write_text(options + more)

    home = cached("apt", digest(*lines, more), make)
    return home / "apt.conf"


def get(words: list[str], work: Path) -> None:
    """Run apt-get with our configuration in the folder; when it does not find the thing, update the lists and try again."""
    command: list[str | Path] = ["apt-get", *words]
    try:
        run(command, work / "log", cwd=work, APT_CONFIG=str(apt()))
    except BuildError:
        run(["apt-get", "update"], work / "log", APT_CONFIG=str(apt()))
        run(command, work / "log", cwd=work, APT_CONFIG=str(apt()))


def by_apt(wanted: Wanted, work: Path) -> None:
    """Fetch the package from the machine's mirror, by its lists."""
    if wanted.file.endswith(".dsc"):
        get(["source", "--download-only", "--only-source", f"{wanted.package}={wanted.version}"], work)
    else:
        get(["download", f"{wanted.package}={wanted.version}"], work)
        for path in work.glob("*%3a*.deb"):  # apt writes an epoch into the name, which the pool does not have
            path.rename(work / wanted.file)


def pools() -> list[str]:
    """Return the pools of the machine's mirrors."""
    plain, security = mirror()
    return [f"{plain}/pool/main", f"{security}/pool/updates/main"]


def places() -> list[Place]:
    """Return where a Debian package may be, in the order in which they are asked."""
    if KEPT.is_dir():
        return [kept(KEPT)]
    return [("the mirror by apt", by_apt), pool(pools), archive(ARCHIVE)]


def files(wanted: Wanted) -> Path:
    """Return the folder with the files of a Debian package, as they were published."""

    def make(work: Path) -> None:
        where = obtain(wanted, work, places())
        say(f"{wanted.package} {wanted.version}", f"from {where}")

    return cached(f"debian-{wanted.package}", digest(*wanted), make)


def pinned_source(table: dict[str, str]) -> Wanted:
    """Return what a table [source.NAME] pins."""
    return source_package(table["package"], table["version"], table["dsc"])


def pinned_package(name: str, table: dict[str, str]) -> Wanted:
    """Return what a table [package.NAME] pins."""
    return binary_package(name, table["version"], table.get("source", name), table["amd64"])


def source(name: str, table: dict[str, str] | None = None) -> Path:
    """Return the unpacked Debian source package [source.NAME], with Debian's patches applied; `table` takes the place of its pins."""
    table = table or SOURCES["source"][name]

    def make(work: Path) -> None:
        needs("dpkg-source", "xz")
        wanted = pinned_source(table)
        run(["dpkg-source", "--no-check", "--extract", files(wanted) / wanted.file, work / "tree"], work / "log", cwd=work)

    return cached(f"source-{name}", digest(table), make) / "tree"


def package(name: str, table: dict[str, str] | None = None) -> Path:
    """Return the unpacked Debian binary package [package.NAME] for this machine; `table` takes the place of its pins."""
    table = table or SOURCES["package"][name]

    def make(work: Path) -> None:
        wanted = pinned_package(name, table)
        run(["dpkg-deb", "-x", files(wanted) / wanted.file, work / "tree"], work / "log")

    return cached(f"package-{name}", digest(table), make) / "tree"


@cache
def wheels() -> Path:
    """Return the folder with everything that requirements.txt names, checked by pip against the digests in it."""
    requirements = HERE / SOURCES["pypi"]["requirements"]

    def make(work: Path) -> None:
        if KEPT.is_dir():
            kept_wheels(requirements.read_text(), work)
            return
        options = ["--require-hashes", "--no-deps", "--disable-pip-version-check", "-d", str(work), "-r", str(requirements)]
        found = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options], capture_output=True, text=True, env=os.environ | {"TZ": "UTC"}
        )
        if found.returncode:
            raise BuildError(f"pip download failed (apt-get install python3-pip, if it is missing):\n{found.stderr[-2000:]}")

    return cached("pypi", digest(requirements), make)


def kept_wheels(requirements: str, work: Path) -> None:
    """Copy the files that requirements.txt names by their SHA-256 from the folder `sources`. Raises BuildError when one is missing."""
    there = {sha256_of(path): path for path in KEPT.iterdir() if path.name.endswith((".whl", ".tar.gz", ".zip"))}
    for project, sha256 in re.findall(r"^(\S+==\S+) --hash=sha256:(\w+)", requirements, re.M):
        if sha256 not in there:
            raise BuildError(f"{KEPT} has no file of {project} with the SHA-256 {sha256}")
        shutil.copyfile(there[sha256], work / there[sha256].name)


def unpacked(project: str) -> Path:
    """Return the unpacked wheel or sdist of one project of requirements.txt."""
    name = project.lower().replace("-", "_")
    (archive,) = [p for p in wheels().iterdir() if p.name.lower().replace("-", "_").startswith(name + "_")]

    def make(work: Path) -> None:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as whole:
                whole.extractall(work)
        else:
            run(["tar", "--strip-components=1", "--no-same-owner", "-xf", archive, "-C", work], work / ".log")
        for path in work.rglob("*"):
            os.utime(path, (EPOCH, EPOCH))

    return cached(f"pypi-{name}", digest(archive.name, HERE / SOURCES["pypi"]["requirements"]), make)


if __name__ == "__main__":
    main(lambda: "\n".join(str(source(name)) for name in SOURCES["source"]))
