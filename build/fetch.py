"""Step 1: the sources, by name and version from Debian and PyPI, each checked by its SHA-256."""

import hashlib
import os
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

from recipe import CACHE, EPOCH, HERE, SOURCES, BuildError, cached, digest, environment, main, needs, run


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
def apt() -> Path:
    """Return the configuration of an apt of our own, which knows the suite of sources.toml and leaves the machine's alone."""
    needs("apt-get", "dpkg-source", "xz")
    plain, security = mirror()
    suite, backports = SOURCES["debian"]["suite"], SOURCES["debian"]["backports"]
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    lines = [
        f"deb-src {signed} {plain} {suite} main",
        f"deb-src {signed} {plain} {suite}-updates main",
        f"deb-src {signed} {security} {suite}-security main",
        f"deb {signed} {plain} {backports} main",
        f"deb {signed} {plain} {backports.removesuffix('-backports')} main",
    ]

    def make(work: Path) -> None:
        # apt wants absolute paths, and they are written for the folder's final name.
        home = CACHE / work.name.removesuffix(".work").removeprefix(".")
        for folder in ("lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/sources.list.d"):
            (work / folder).mkdir(parents=True)
        (work / "etc/sources.list").write_text("\n".join(lines) + "\n")
        options = f'Dir::Etc "{home}/etc";\nDir::State::Lists "{home}/lists";\nDir::Cache "{home}/cache";\n'
        more = 'Acquire::Languages "none";\nAPT::Sandbox::User "root";\nAcquire::Retries "3";\n'
        (work / "apt.conf").write_text(options + more)

    home = cached("apt", digest(*lines), make)
    return home / "apt.conf"


def get(words: list[str], work: Path) -> None:
    """Run apt-get with our configuration in the folder; when it does not find the thing, update the lists and try again."""
    command: list[str | Path] = ["apt-get", *words]
    try:
        run(command, work / "log", cwd=work, APT_CONFIG=str(apt()))
    except BuildError:
        run(["apt-get", "update"], work / "log", APT_CONFIG=str(apt()))
        run(command, work / "log", cwd=work, APT_CONFIG=str(apt()))


def checked(path: Path, expected: str) -> None:
    """Raise when the file's SHA-256 is not the one written down."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise BuildError(f"{path.name}: its SHA-256 is {found}, expected {expected}")


def source(name: str) -> Path:
    """Return the unpacked Debian source package [source.NAME], with Debian's patches applied."""
    wanted = SOURCES["source"][name]
    package, version = wanted["package"], wanted["version"]

    def make(work: Path) -> None:
        try:
            get(["source", "--download-only", "--only-source", f"{package}={version}"], work)
        except BuildError as error:
            raise BuildError(f"{error}\n{package} {version} is not to be had: see sources.toml") from error
        (dsc,) = work.glob("*.dsc")
        checked(dsc, wanted["dsc"])
        run(["dpkg-source", "--no-check", "--extract", dsc, work / "tree"], work / "log", cwd=work)
        for path in work.glob("*.tar.*"):
            path.unlink()

    return cached(f"source-{name}", digest(wanted), make) / "tree"


def package(name: str) -> Path:
    """Return the unpacked Debian binary package [package.NAME] for this machine."""
    wanted = SOURCES["package"][name]

    def make(work: Path) -> None:
        get(["download", f"{name}={wanted['version']}"], work)
        (deb,) = work.glob("*.deb")
        checked(deb, wanted["amd64"])
        run(["dpkg-deb", "-x", deb, work / "tree"], work / "log")
        deb.unlink()

    return cached(f"package-{name}", digest(wanted), make) / "tree"


@cache
def wheels() -> Path:
    """Return the folder with everything that requirements.txt names, checked by pip against the digests in it."""
    requirements = HERE / SOURCES["pypi"]["requirements"]

    def make(work: Path) -> None:
        options = ["--require-hashes", "--no-deps", "--disable-pip-version-check", "-d", str(work), "-r", str(requirements)]
        found = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options], capture_output=True, text=True, env=os.environ | {"TZ": "UTC"}
        )
        if found.returncode:
            raise BuildError(f"pip download failed (apt-get install python3-pip, if it is missing):\n{found.stderr[-2000:]}")

    return cached("pypi", digest(requirements), make)


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
