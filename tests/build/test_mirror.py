"""`make update ONLY=openssl` against a small mirror on loopback: a real apt, real signatures, real source packages, up to the new pins."""

import email.utils
import os
import re
import shutil
import subprocess
from pathlib import Path

import fetch
import pytest
import recipe
import update

from tests.build.conftest import ROOT, Debian, sha256

PINNED, SECURITY, POINT = "3.5.7-1~deb13u2", "3.5.7-1~deb13u3", "3.5.9-1~deb13u1"
CHANGES = {
    PINNED: ("trixie", "medium", "Import 3.5.7, which fixes CVE-2026-11111"),
    SECURITY: ("trixie-security", "high", "CVE-2026-22222 (a heap overflow)"),
    POINT: ("trixie", "medium", "Import 3.5.9, with the fix of CVE-2026-11111 and of CVE-2026-22222"),
}
CONTROL = """\
Source: openssl
Maintainer: A Maintainer <a@example.org>
Standards-Version: 4.7.2

Package: openssl
Architecture: any
Description: a source package of no size
"""
ENTRY = "openssl ({}) {}; urgency={}\n\n  * {}\n\n -- A Maintainer <a@example.org>  Mon, 02 Nov 2026 20:00:00 +0100\n\n"


def source_package(folder: Path, versions: list[str]) -> dict[str, bytes]:
    """Build the source package of the last version, whose changelog has all of them; return its files."""
    tree = folder / "tree"
    (tree / "debian/source").mkdir(parents=True)
    (tree / "debian/source/format").write_text("1.0\n")
    (tree / "debian/control").write_text(CONTROL)
    (tree / "debian/changelog").write_text("".join(ENTRY.format(version, *CHANGES[version]) for version in reversed(versions)))
    subprocess.run(["dpkg-source", "--build", "tree"], cwd=folder, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def stanza(files: dict[str, bytes], directory: str) -> str:
    """Return what a list of sources says of a source package."""
    (dsc,) = [content for name, content in files.items() if name.endswith(".dsc")]
    fields = dict(re.findall(r"(?m)^(\w+): (.*)", dsc.decode()))
    sums = "".join(f"\n {sha256(content)} {len(content)} {name}" for name, content in files.items())
    return f"Package: openssl\nVersion: {fields['Version']}\nDirectory: {directory}\nChecksums-Sha256:{sums}\n\n"


class Mirror:
    """A mirror with the build's five suites, signed with a key of its own.

    Attributes: debian, its files and faults; keyring, the file that apt trusts; pins, version -> SHA-256 of the .dsc."""

    def __init__(self, debian: Debian, folder: Path) -> None:
        self.debian, self.folder, self.keyring = debian, folder, folder / "keyring.gpg"
        self.pins: dict[str, str] = {}
        self.lists = {"debian": "", "debian-security": ""}
        self.signer()
        self.keyring.write_bytes(self.gpg("--export"))

    def gpg(self, *words: str | Path) -> bytes:
        home = self.folder / "gpg"
        home.mkdir(mode=0o700, exist_ok=True)
        command = ["gpg", "--homedir", home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", *words]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def signer(self) -> None:
        """Make a new key; all that is signed from now on is signed with it alone."""
        self.stop()
        shutil.rmtree(self.folder / "gpg", ignore_errors=True)
        self.gpg("--quick-generate-key", "A mirror <a@example.org>", "rsa2048", "sign", "never")

    def stop(self) -> None:
        """End gpg's agent, which holds the key."""
        words = ["gpgconf", "--homedir", self.folder / "gpg", "--kill", "all"]
        subprocess.run(words, check=False, capture_output=True)

    def publish(self, where: str, *versions: str) -> None:
        """Put the last of the versions into a pool and its list."""
        pool = "pool/main" if where == "debian" else "pool/updates/main"
        folder = self.folder / f"source-{len(self.pins)}"
        files = source_package(folder, list(versions))
        self.debian.publish("openssl", versions[-1], files, f"{where}/{pool}")
        self.lists[where] += stanza(files, f"{pool}/o/openssl")
        self.pins[versions[-1]] = next(sha256(content) for name, content in files.items() if name.endswith(".dsc"))

    def sign(self) -> None:
        """Write the lists and their signatures."""
        for where, suite, index in (
            ("debian", "trixie", "source/Sources"),
            ("debian", "trixie-updates", "source/Sources"),
            ("debian-security", "trixie-security", "source/Sources"),
            ("debian", "bookworm-backports", "binary-amd64/Packages"),
            ("debian", "bookworm", "binary-amd64/Packages"),
        ):
            content = self.lists[where].encode() if suite in ("trixie", "trixie-security") else b""
            said = {
                "Origin": "Debian",
                "Label": "Debian",
                "Suite": suite,
                "Codename": suite,
                "Components": "main",
                "Architectures": "amd64",
            }
            said |= {"Date": email.utils.formatdate(usegmt=True), "SHA256": f"\n {sha256(content)} {len(content)} main/{index}"}
            release = self.folder / "Release"
            release.write_text("".join(f"{name}: {value}\n" for name, value in said.items()))
            self.gpg("--clearsign", "--output", self.folder / "InRelease", release)
            at = f"/{where}/dists/{suite}"
            self.debian.files |= {f"{at}/main/{index}": content, f"{at}/InRelease": (self.folder / "InRelease").read_bytes()}


@pytest.fixture
def mirror(debian: Debian, folder, monkeypatch, tmp_path):
    made = Mirror(debian, folder)
    made.publish("debian", PINNED)
    made.publish("debian", PINNED, POINT)
    made.publish("debian-security", PINNED, SECURITY)
    made.sign()
    for module in (fetch, recipe):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(fetch, "KEYRING", made.keyring)
    monkeypatch.setattr(fetch, "KEPT", Path("/nonexistent"))
    monkeypatch.setattr(fetch, "ARCHIVE", f"{debian.url}/snapshot")
    monkeypatch.setattr(fetch, "mirror", lambda: (f"{debian.url}/debian", f"{debian.url}/debian-security"))
    monkeypatch.setitem(recipe.SOURCES["source"], "openssl", {"package": "openssl", "version": PINNED, "dsc": made.pins[PINNED]})
    fetch.apt.cache_clear()
    yield made
    fetch.apt.cache_clear()
    made.stop()


@pytest.fixture
def project(mirror: Mirror, monkeypatch, tmp_path):
    """A folder with the files that have pins; the build is stood in for, and ends there."""
    for name in ("build/sources.toml", "build/requirements.txt", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    path = tmp_path / "build/sources.toml"
    [old] = [pin for pin in update.pins() if pin.name == "openssl"]
    real = re.search(r'\[source\.openssl\]\n.*?\nversion = "(.+?)"\ndsc = "(\w+)"', path.read_text())
    path.write_text(path.read_text().replace(f'"{real[1]}"', f'"{old.version}"').replace(real[2], old.sha256))
    monkeypatch.setattr(update, "ROOT", tmp_path)
    monkeypatch.setattr(update, "HERE", tmp_path / "build")
    monkeypatch.setattr(update, "DIST", tmp_path / "dist")
    ran: list[list[str]] = []
    monkeypatch.setattr(update, "done", lambda words, log: ran.append(words) or (tmp_path / "dist/update.log").touch())
    return path, ran


def changed(before: str, after: str) -> list[str]:
    return [new for old, new in zip(before.splitlines(), after.splitlines(), strict=True) if old != new]


def test_one_security_update_is_one_command(mirror, project, capsys):
    path, ran = project
    before = path.read_text()
    assert update.main(["openssl"], look=False) == 1, "the build, which is stood in for, tells that it failed"
    assert changed(before, path.read_text()) == [f'version = "{POINT}"', f'dsc = "{mirror.pins[POINT]}"']
    row = f"| openssl | {PINNED} | {POINT} | **security**: CVE-2026-22222 |"
    report = (path.parent.parent / "dist/update.md").read_text()
    assert row in report and row in capsys.readouterr().out
    assert report.startswith("Update openssl\n") and "Import 3.5.9, with the fix" in report
    assert ran == [update.IMAGE]


def test_what_the_mirror_lists_and_has_not_is_passed_over_for_the_next_newest(mirror, project, capsys):
    path, _ = project
    mirror.debian.forget(f"openssl_{POINT}")
    mirror.debian.forget(f"/{POINT}/")
    assert update.main(["openssl"], look=False) == 1
    assert f'version = "{SECURITY}"' in path.read_text() and mirror.pins[SECURITY] in path.read_text()
    said = capsys.readouterr().out
    assert f"| {SECURITY} | **security**: CVE-2026-22222 |" in said
    assert f"- openssl {POINT}\n  - the mirror by apt: apt-get ended with 100" in said and "404" in said


def test_only_looking_changes_nothing(project, capsys):
    path, ran = project
    before = path.read_text()
    assert update.main(["openssl"], look=True) == 0
    assert POINT in capsys.readouterr().out
    assert path.read_text() == before and not ran


@pytest.mark.parametrize("forged", ["another key", "another list"])
def test_lists_that_debian_did_not_sign_raise_nothing(mirror, project, forged):
    path, ran = project
    before = path.read_text()
    if forged == "another key":
        mirror.signer()
        mirror.sign()
    else:
        at = "/debian/dists/trixie/main/source/Sources"
        mirror.debian.files[at] = mirror.debian.files[at].replace(mirror.pins[POINT].encode(), b"0" * 64)
    with pytest.raises(recipe.BuildError, match="apt-get ended with 100"):
        update.main(["openssl"], look=False)
    assert path.read_text() == before and not ran


def test_a_source_that_is_not_what_the_list_says_is_not_taken(mirror, project):
    path, _ = project
    for at in [at for at in mirror.debian.files if os.path.basename(at) == f"openssl_{POINT}.tar.gz"]:
        mirror.debian.files[at] = bytes(len(mirror.debian.files[at]))
    for at, content in mirror.debian.files.items():
        if at.startswith("/snapshot/file/") and sha256(content) != mirror.pins[POINT]:
            mirror.debian.files[at] = bytes(len(content))
    assert update.main(["openssl"], look=False) == 1
    assert f'version = "{SECURITY}"' in path.read_text()
