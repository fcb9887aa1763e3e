"""A pinned package comes from the first place that has it, whatever the others do, and only with the pinned bytes."""

import json
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import fetch
import places
import pytest
import recipe

from tests.build.conftest import Debian, sha256

POOL, SECURITY, ARCHIVE = "/debian/pool/", "/debian-security/pool/", "/snapshot/"


@pytest.fixture(autouse=True)
def impatient(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "PAUSES", (0.01,))
    monkeypatch.setattr(places, "TIMEOUT", 0.5)
    for module in (fetch, recipe):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")


@pytest.fixture
def asked_in_order(monkeypatch, debian: Debian):
    """The places of the build, with `debian` as the mirror and the archive, and an apt that finds nothing."""

    def by_apt(wanted, work):
        debian.asked.append("apt")
        (work / wanted.file).write_text("half of it")
        raise recipe.BuildError("E: Version was not found")

    monkeypatch.setattr(fetch, "by_apt", by_apt)
    monkeypatch.setattr(fetch, "mirror", lambda: (f"{debian.url}/debian", f"{debian.url}/debian-security"))
    monkeypatch.setattr(fetch, "ARCHIVE", f"{debian.url}/snapshot")
    monkeypatch.setattr(fetch, "KEPT", Path("/nonexistent"))


def where(path: str) -> str:
    return next((name for name in (POOL, SECURITY, ARCHIVE) if path.startswith(name)), path)


def order(debian: Debian) -> list[str]:
    return list(dict.fromkeys(where(path) for path in debian.asked))


def brought(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"log"}


@pytest.mark.usefixtures("asked_in_order")
class TestTheOrder:
    def test_the_mirrors_pool_is_asked_when_apts_lists_have_passed_the_version(self, debian):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        folder = fetch.files(fetch.pinned_source(table))
        assert brought(folder) == {"openssl_3.5.7-1~deb13u2.dsc", "openssl_3.5.7.orig.tar.gz", "openssl_3.5.7-1~deb13u2.debian.tar.xz"}
        assert order(debian) == ["apt", POOL]

    def test_a_security_update_lies_in_the_security_mirrors_pool(self, debian):
        table = debian.source("openssl", "3.5.7-1~deb13u2", pool="debian-security/pool/updates/main")
        assert len(brought(fetch.files(fetch.pinned_source(table)))) == 3
        assert order(debian) == ["apt", POOL, SECURITY]

    def test_the_archive_is_asked_when_the_mirror_has_forgotten_the_version(self, debian):
        table = debian.source("zlib", "1:1.3.dfsg+really1.3.1-1")
        debian.forget("/pool/")
        assert len(brought(fetch.files(fetch.pinned_source(table)))) == 3
        assert order(debian) == ["apt", POOL, SECURITY, ARCHIVE]

    def test_the_archive_has_what_the_pool_has_only_half_of(self, debian):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        debian.forget("/pool/main/o/openssl/openssl_3.5.7.orig")
        assert len(brought(fetch.files(fetch.pinned_source(table)))) == 3
        assert order(debian) == ["apt", POOL, SECURITY, ARCHIVE]

    def test_a_binary_package_likewise(self, debian):
        deb = b"!<arch>\n" + bytes(9000)
        debian.publish("libucl1", "1.03+repack-6", {"libucl1_1.03+repack-6_amd64.deb": deb}, kind="binary")
        table = {"version": "1.03+repack-6", "source": "ucl", "amd64": sha256(deb)}
        folder = fetch.files(fetch.pinned_package("libucl1", table))
        assert brought(folder) == {"libucl1_1.03+repack-6_amd64.deb"}
        assert [path for path in debian.asked if path.startswith(POOL)] == ["/debian/pool/main/u/ucl/libucl1_1.03+repack-6_amd64.deb"]
        assert order(debian)[-1] == ARCHIVE

    def test_the_cache_is_asked_first(self, debian):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        first = fetch.files(fetch.pinned_source(table))
        debian.asked.clear()
        assert fetch.files(fetch.pinned_source(table)) == first
        assert debian.asked == []

    def test_what_nobody_has_is_told_with_what_each_said_and_what_to_do(self, debian):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        debian.files.clear()
        with pytest.raises(recipe.BuildError) as caught:
            fetch.files(fetch.pinned_source(table))
        said = str(caught.value).splitlines()
        assert said[0] == "openssl 3.5.7-1~deb13u2 was not found."
        assert [line.split(":")[0].strip() for line in said[1:4]] == ["the mirror by apt", "the mirror's pool", "the archive http"]
        assert "404" in said[2] and "404" in said[3]
        assert "make update" in said[-1] and "DEBIAN_ARCHIVE" in said[-1]

    def test_a_machine_without_a_known_mirror_asks_the_archive(self, debian, monkeypatch):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        monkeypatch.setattr(fetch, "mirror", lambda: fetch.mirrors_of(""))
        assert len(brought(fetch.files(fetch.pinned_source(table)))) == 3
        assert order(debian) == ["apt", ARCHIVE]

    def test_a_folder_of_kept_sources_is_asked_alone(self, debian, monkeypatch, tmp_path):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        folder = fetch.files(fetch.pinned_source(table))
        monkeypatch.setattr(fetch, "KEPT", folder)
        monkeypatch.setattr(recipe, "CACHE", tmp_path / "another")
        debian.asked.clear()
        assert len(brought(fetch.files(fetch.pinned_source(table)))) == 3
        assert debian.asked == []
        with pytest.raises(recipe.BuildError, match="has no zlib_1"):
            fetch.files(fetch.pinned_source(debian.source("zlib", "1.3.1-1")))
        assert debian.asked == []


def status(code: int):
    def fault(request: BaseHTTPRequestHandler) -> None:
        request.send_error(code)

    return fault


def other_bytes(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"Format: 3.0 (quilt)\nChecksums-Sha256:\n" + b" " + b"0" * 64 + b" 5 openssl_evil.tar.gz\n")


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(1000):
            request.wfile.write(bytes(1 << 20))
    except OSError:
        pass


def cut(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    request.wfile.write(b"Format: 3.0")


def silent(request: BaseHTTPRequestHandler) -> None:
    time.sleep(0.8)  # longer than TIMEOUT


def no_http(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"220 ftp ready\r\n")


FAULTS = {
    "forgotten": status(404),
    "forbidden": status(403),
    "overloaded": status(503),
    "other bytes": other_bytes,
    "endless": endless,
    "cut short": cut,
    "silent": silent,
    "not HTTP": no_http,
}


@pytest.mark.usefixtures("asked_in_order")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
class TestAPlaceThatFails:
    def test_the_pool_at_the_dsc(self, debian, fault):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        debian.faults["/pool/"] = fault
        assert len(brought(fetch.files(fetch.pinned_source(table)))) == 3
        assert order(debian) == ["apt", POOL, SECURITY, ARCHIVE]

    def test_the_pool_at_a_tarball(self, debian, fault):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        debian.faults["/pool/main/o/openssl/openssl_3.5.7.orig"] = fault
        assert len(brought(fetch.files(fetch.pinned_source(table)))) == 3
        assert order(debian) == ["apt", POOL, SECURITY, ARCHIVE]

    @pytest.mark.parametrize("part", ["/mr/", "/file/"])
    def test_the_archive_at_last(self, debian, fault, part):
        table = debian.source("openssl", "3.5.7-1~deb13u2")
        debian.forget("/pool/")
        debian.faults[part] = fault
        with pytest.raises(recipe.BuildError, match=r"was not found"):
            fetch.files(fetch.pinned_source(table))
        assert not list(recipe.CACHE.glob("debian-openssl-*")), "what was not checked must not be in the cache"


@pytest.mark.usefixtures("asked_in_order")
def test_a_server_that_was_overloaded_is_asked_again(debian):
    table = debian.source("openssl", "3.5.7-1~deb13u2")

    def once(request):
        del debian.faults["/pool/"]
        status(503)(request)

    debian.faults["/pool/"] = once
    fetch.files(fetch.pinned_source(table))
    assert order(debian) == ["apt", POOL]


@pytest.mark.usefixtures("asked_in_order")
@pytest.mark.parametrize("answer", [[], {}, "no", {"fileinfo": []}, {"fileinfo": {"../evil": [{"name": "openssl_3.5.7-1~deb13u2.dsc"}]}}])
def test_an_archive_that_answers_something_else(debian, answer):
    table = debian.source("openssl", "3.5.7-1~deb13u2")
    debian.forget("/pool/")
    (listing,) = [path for path in debian.files if "/mr/" in path]
    debian.files[listing] = json.dumps(answer).encode()
    with pytest.raises(recipe.BuildError, match="was not found"):
        fetch.files(fetch.pinned_source(table))


@pytest.mark.parametrize("name", ["../evil.tar.gz", "/etc/passwd", "a b"])
def test_a_dsc_names_no_file_elsewhere(name):
    with pytest.raises(recipe.BuildError, match="names no files"):
        places.files_of(f"Checksums-Sha256:\n {'0' * 64} 5 {name}\nFiles:\n")


def test_another_archive_can_be_named():
    assert places.archive("http://127.0.0.1:1/kept/")[0] == "the archive http://127.0.0.1:1/kept/"


def test_kept_wheels_are_found_by_their_digest(monkeypatch, tmp_path):
    kept, out = tmp_path / "kept", tmp_path / "out"
    kept.mkdir()
    out.mkdir()
    (kept / "pika-1.4.4-py3-none-any.whl").write_bytes(b"wheel")
    monkeypatch.setattr(fetch, "KEPT", kept)
    fetch.kept_wheels(f"# a comment\n--no-binary x\npika==1.4.4 --hash=sha256:{sha256(b'wheel')}\n", out)
    assert [path.name for path in out.iterdir()] == ["pika-1.4.4-py3-none-any.whl"]
    with pytest.raises(recipe.BuildError, match=r"no file of requests==2\.34\.2"):
        fetch.kept_wheels(f"requests==2.34.2 --hash=sha256:{'0' * 64}\n", out)
