"""`make update` finds the newest version whose files exist, tells whether it is about security, and changes only the pins."""

import json
import os
import re
import shutil
import signal
import subprocess

import news
import pytest
import recipe
import size
import update

from tests.build.conftest import ROOT

OLD = update.Pin("source", "openssl", "3.5.7-1~deb13u2", "a" * 64)
SHOWN = """\
Package: openssl
Version: 3.5.7-1~deb13u2
Checksums-Sha256:
 {a} 2707 openssl_3.5.7-1~deb13u2.dsc
 {f} 53153930 openssl_3.5.7.orig.tar.gz
Directory: pool/main/o/openssl

Package: openssl
Version: 3.5.9-1~deb13u1
Checksums-Sha256:
 {b} 2707 openssl_3.5.9-1~deb13u1.dsc
 {f} 53279637 openssl_3.5.9.orig.tar.gz

Package: openssl
Version: 3.5.10-1~deb13u1
Checksums-Sha256:
 {c} 2707 openssl_3.5.10-1~deb13u1.dsc

Package: openssl
Version: 3.5.6-1
Checksums-Sha256:
 {f} 2707 openssl_3.5.6-1.dsc
""".format(**{letter: letter * 64 for letter in "abcf"})
MADISON = """\
   openssl | 3.0.20-1~deb12u2 | http://deb.debian.org/debian bookworm/main amd64 Packages
   openssl | 3.5.9-1~deb13u1 | http://deb.debian.org/debian trixie/main Sources
   openssl | 3.5.10-1~deb13u1 | http://deb.debian.org/debian-security trixie-security/main Sources
"""
CHANGELOG = """\
openssl (3.5.9-1~deb13u1) trixie; urgency=medium

  * Import 3.5.9
{more}
 -- A Maintainer <a@example.org>  Mon, 02 Nov 2026 20:00:00 +0100

openssl (3.5.9-1) unstable; urgency=medium

  * Import 3.5.9

 -- A Maintainer <a@example.org>  Mon, 02 Nov 2026 19:00:00 +0100

openssl (3.5.7-1~deb13u2) trixie-security; urgency=high

  * CVE-2026-11111 (an older one)

 -- A Maintainer <a@example.org>  Mon, 03 Aug 2026 20:00:00 +0100
"""


def says(text: str) -> str:
    return news.word(news.entries(text, "3.5.7-1~deb13u2"))


class TestTheNewestVersion:
    def test_the_newest_comes_first_as_dpkg_orders_them(self):
        found = update.newer_debian(OLD, SHOWN)
        assert [(pin.version, pin.sha256[0]) for pin in found] == [("3.5.10-1~deb13u1", "c"), ("3.5.9-1~deb13u1", "b")]

    def test_a_binary_package_for_this_machine(self):
        old = update.Pin("package", "upx-ucl", "4.2.2-3~bpo12+1", "a" * 64)
        shown = "".join(
            f"Package: upx-ucl\nArchitecture: {arch}\nVersion: {version}\nSHA256: {letter * 64}\nDescription: a packer\n of programs\n\n"
            for arch, version, letter in (("amd64", "4.2.2-3~bpo12+1", "a"), ("amd64", "4.2.4-1", "b"), ("arm64", "5.0-1", "c"))
        )
        assert update.newer_debian(old, shown) == [old._replace(version="4.2.4-1", sha256="b" * 64)]

    @pytest.mark.parametrize("text", ["", "\n\n", "E: no such package", "Version: 9\n", "Package: x\nVersion: 9\nSHA256:\n"])
    def test_nothing_that_can_be_used(self, text):
        assert update.newer_debian(OLD, text) == []

    def test_what_the_lists_have_and_the_mirror_has_not_is_passed_over_and_told(self, monkeypatch):
        def source(name, table):
            if table["version"] == "3.5.10-1~deb13u1":
                raise recipe.BuildError("openssl was not found.\n  the mirror by apt: 404\n  the archive: unreachable\nsome advice")

        monkeypatch.setattr(update, "apt_cache", lambda suite, command, *_: MADISON if command == "madison" else SHOWN)
        monkeypatch.setattr(update.fetch, "source", source)
        passed_over: list[update.PassedOver] = []
        assert update.newest(OLD, passed_over).version == "3.5.9-1~deb13u1"
        assert update.named(passed_over)[3:] == [
            "- openssl 3.5.10-1~deb13u1, **security**: Debian's security team published it",
            "  - the mirror by apt: 404",
            "  - the archive: unreachable",
        ]

    def test_only_the_security_teams_suites_count(self):
        assert update.of_security_team(MADISON, "3.5.10-1~deb13u1")
        assert not update.of_security_team(MADISON, "3.5.9-1~deb13u1")
        assert not update.of_security_team("", "3.5.9-1~deb13u1") and not update.of_security_team("N: no such package", "1")


class TestWhatChanged:
    def test_only_what_is_newer_counts(self):
        entries = news.entries(CHANGELOG.format(more=""), "3.5.7-1~deb13u2")
        assert [entry.version for entry in entries] == ["3.5.9-1~deb13u1", "3.5.9-1"]
        assert says(CHANGELOG.format(more="")) == "not security, as far as the changelog says"

    def test_cves_are_named_each_once(self):
        more = "    - CVE-2026-31790 (a heap overflow)\n    - CVE-2026-2 is none\n    - CVE-2026-31789, CVE-2026-31790\n"
        assert says(CHANGELOG.format(more=more)) == "**security**: CVE-2026-31789, CVE-2026-31790"

    def test_what_the_version_before_had_fixed_is_not_new(self):
        entries = news.entries(CHANGELOG.format(more="    - CVE-2026-31790, CVE-2026-11111\n"), "3.5.7-1~deb13u2")
        assert news.word(entries, "the pinned one: CVE-2026-11111") == "**security**: CVE-2026-31790"
        assert news.word(entries, "CVE-2026-11111, CVE-2026-31790") == "not security, as far as the changelog says"

    def test_the_security_teams_suite_is_a_sign(self):
        assert "security team" in says(CHANGELOG.format(more="").replace(") trixie;", ") trixie-security;", 1))

    @pytest.mark.parametrize("urgency", ["high", "HIGH", "emergency", "critical"])
    def test_the_urgency_is_a_sign(self, urgency):
        said = says(CHANGELOG.format(more="").replace("urgency=medium", f"urgency={urgency}", 1))
        assert said == f"**security, maybe**: urgency {urgency.lower()}"

    def test_a_changelog_that_tells_nothing(self):
        assert says("") == says("This is no changelog.\n") == "the changelog says nothing"

    def test_an_advisory_against_the_version_before(self):
        told = {
            "dependencies": [
                {"name": "requests", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["GHSA-x", "CVE-2026-12345"]}]},
                {"name": "idna", "version": "1", "vulns": []},
                {"name": "nuitka", "skip_reason": "not found"},
            ]
        }
        assert news.audited(json.dumps(told)) == {
            "requests": "**security**: CVE-2026-12345",
            "idna": "not security: no advisory names the version before",
        }


class TestThePins:
    def test_all_that_is_pinned_is_known(self):
        names = {pin.name for pin in update.pins()}
        assert {"cpython", "openssl", "zlib", "upx-ucl", "libucl1", "ziglang", "nuitka", "dumb-init", "pika", "requests"} <= names
        assert len(update.chosen(["openssl", "idna"])) == 2
        with pytest.raises(recipe.BuildError, match=r"nothing is pinned as openssll: ONLY takes .*openssl"):
            update.chosen(["openssll"])

    @pytest.mark.parametrize("old", update.pins(), ids=lambda pin: pin.name)
    def test_a_new_pin_changes_its_version_and_digest_alone(self, old):
        path = update.REQUIREMENTS if old.kind == "pypi" else ROOT / "build/sources.toml"
        before = path.read_text()
        after = update.written(before, old, old._replace(version="99.1-2", sha256="9" * 64))
        changed = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]
        assert len(changed) == (1 if old.kind == "pypi" else 2)
        assert all("99.1-2" in new or "9" * 64 in new for _, new in changed)
        assert update.written(after, old._replace(version="99.1-2", sha256="9" * 64), old) == before

    @pytest.mark.parametrize("file", ["pyproject.toml", "tests/requirements.in", "tests/tools/demo.in"])
    def test_the_direct_dependencies_stand_in_other_files_too(self, file):
        before = (ROOT / file).read_text()
        for old in update.pins():
            if old.name in ("pika", "requests", "certifi"):
                after = update.written(before, old, old._replace(version="99.1"))
                assert after.replace("99.1", old.version) == before != after
        with pytest.raises(recipe.BuildError):
            update.written(before, OLD._replace(kind="pypi", name="urllib3"), OLD)


def test_the_measured_sizes_are_written_for_their_architecture_alone():
    text = (ROOT / "build/size-budget.toml").read_text()
    for arch, other in (("amd64", "arm64"), ("arm64", "amd64")):
        made = size.recorded(text, arch, {"/bin/bridge": 7})
        assert size.table(made, arch, "measured") == {"/bin/bridge": 7}
        for name in ("measured", "budget"):
            assert size.table(made, other, name) == size.table(text, other, name)
        assert size.table(made, arch, "budget") == size.table(text, arch, "budget")
        assert size.recorded(text, arch, size.table(text, arch, "measured")) == text


def test_readme_has_the_sizes_that_were_recorded():
    readme = (ROOT / "README.md").read_text()
    for arch in ("amd64", "arm64"):
        told = {"arch": arch, "files": {"/bin/bridge": 1234567}, "sum": 1345678, "unpacked": {"/bin/bridge": 5432109}}
        made = size.documented(readme, told)
        changed = [new for old, new in zip(readme.splitlines(), made.splitlines(), strict=True) if old != new]
        figures = {"amd64": [["1,345,678"], ["1,234,567", "5,432,109"]], "arm64": [["5,432,109", "1,345,678"]]}[arch]
        assert [re.findall(r"\d,[\d,]+", row) for row in changed] == figures


def test_the_output_of_a_command_is_shown_and_its_end_is_in_the_report(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(update, "DIST", tmp_path)
    results: list[str] = []
    assert update.done(["sh", "-c", "echo it works; echo but warns >&2"], results.append)
    assert capsys.readouterr().out == "it works\nbut warns\n" and re.fullmatch(r"- `sh -c .*`: passed \(0 s\)", results.pop())
    assert not update.done(["sh", "-c", "seq 100; exit 3"], results.append)
    assert capsys.readouterr().out.splitlines() == [str(number) for number in range(1, 101)]
    assert "**failed**" in results[0] and results[1].split() == ["```", *map(str, range(101 - update.TOLD, 101)), "```"]


def test_a_process_that_is_left_behind_does_not_hold_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(update, "DIST", tmp_path)
    assert update.done(["sh", "-c", f"sleep 60 & echo $! >{tmp_path}/left"], lambda line: None)
    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)  # raises when it has ended, so it was not waited for


@pytest.fixture
def project(monkeypatch, tmp_path):
    """A copy of the files with pins, a build that makes the image a hundred bytes smaller, and the commands that were run."""
    files = "build/sources.toml build/requirements.txt build/size-budget.toml pyproject.toml tests/requirements.in README.md docs/size.svg"
    for name in files.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for module in (update, size):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "HERE", tmp_path / "build")
    monkeypatch.setattr(update, "DIST", tmp_path / "dist")
    monkeypatch.setattr(update, "REQUIREMENTS", tmp_path / "build/requirements.txt")
    monkeypatch.setattr(update, "run", lambda *_, **__: None)
    monkeypatch.setattr(update.fetch, "apt", lambda suite="": "apt.conf")
    monkeypatch.setattr(update.news, "advisories", lambda *_: {})
    ran: list[str] = []
    broken: set[str] = set()

    def done(words, log):
        ran.append(" ".join(words))
        log(f"- {words}")
        (tmp_path / "dist/update.log").write_text("zlib-amd64      1.1 s\npgo.txt         is of other sources: make pgo counts again\n")
        if words == update.IMAGE:
            measured = size.table((ROOT / "build/size-budget.toml").read_text(), "amd64", "measured")
            files = {name: value for name, value in measured.items() if name.startswith("/")}
            told = {"arch": "amd64", "files": files, "sum": measured["sum of the files"] - 100, "layer": measured["compressed layer"]}
            (tmp_path / "dist/size.json").write_text(json.dumps(told | {"unpacked": {"/bin/bridge": 5432109}}))
            (tmp_path / "dist/size.svg").write_text("the new drawing")
        return " ".join(words) not in broken

    monkeypatch.setattr(update, "done", done)
    return tmp_path, ran, broken


def test_a_direct_dependency_from_the_table_to_the_sizes(project, monkeypatch, capsys):
    folder, ran, _ = project
    monkeypatch.setattr(update, "newest_pypi", lambda pin: pin._replace(version="99.1", sha256="9" * 64))
    assert update.main(["requests"], look=False) == 0
    assert re.search(r"^\| requests \| \S+ \| 99\.1 \|", capsys.readouterr().out, re.M)
    assert ran[:2] == ["make requirements", "make image LARGER=allowed"] and "make test-binary" in ran
    assert f"requests==99.1 --hash=sha256:{'9' * 64}" in (folder / "build/requirements.txt").read_text()
    for name in ("pyproject.toml", "tests/requirements.in"):
        assert "requests==99.1" in (folder / name).read_text()
    assert (folder / "docs/size.svg").read_text() == "the new drawing"
    told = (folder / "dist/update.md").read_text()
    assert told.startswith("Update requests\n") and re.search(r"^\| sum of the files \| .* \| -100 \| [\d,]+", told, re.M)
    assert "\n- pgo.txt is of other sources: make pgo counts again\n" in told and "zlib-amd64" not in told
    assert "The sizes before are those in size-budget.toml." in told
    assert "5,432,109" in (folder / "README.md").read_text()


def test_only_looking_changes_nothing(project, monkeypatch, capsys):
    folder, ran, _ = project
    monkeypatch.setattr(update, "newest_pypi", lambda pin: pin._replace(version="99.1", sha256="9" * 64))
    assert update.main(["requests"], look=True) == 0
    assert "99.1" in capsys.readouterr().out and ran == []
    assert (folder / "build/requirements.txt").read_text() == (ROOT / "build/requirements.txt").read_text()


def test_an_image_above_its_budget_is_tested_and_told(project, monkeypatch):
    folder, ran, broken = project
    broken.add("make size")
    path = folder / "build/size-budget.toml"
    path.write_text(re.sub(r'(?m)^"sum of the files" = \d+', '"sum of the files" = 1000', path.read_text(), count=1))
    monkeypatch.setattr(update, "newest_pypi", lambda pin: pin._replace(version="99.1", sha256="9" * 64))
    assert update.main(["idna"], look=False) == 1
    assert ran[-2:] == ["make test-image LARGER=allowed", "make size"]
    assert re.search(r"^\| sum of the files \| .* \| 1,000, \*\*exceeded\*\* \|$", (folder / "dist/update.md").read_text(), re.M)


@pytest.mark.parametrize(("word", "status"), [("LARGER=", 2), ("LARGER=allowed", 0)])
def test_make_image_fails_above_the_budget_unless_that_is_allowed(tmp_path, word, status):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" != build/size.py ]\n')
    python.chmod(0o755)
    words = ["make", "--old-file=binary", "image", f"PYTHON={python}", word]
    done = subprocess.run(words, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr


@pytest.mark.parametrize("command", ["make image LARGER=allowed", "make test-binary"])
def test_what_does_not_build_or_pass_is_told_and_leaves_the_new_pins(project, monkeypatch, command):
    folder, ran, broken = project
    broken.add(command)
    monkeypatch.setattr(update, "newest_pypi", lambda pin: pin._replace(version="99.1", sha256="9" * 64))
    assert update.main(["idna"], look=False) == 1
    assert "idna==99.1" in (folder / "build/requirements.txt").read_text() and (folder / "dist/update.md").exists()
    assert (len(ran) == 1) == (command != "make test-binary")


def test_what_was_passed_over_is_in_the_report(project, monkeypatch, capsys):
    folder, _, _ = project
    gone = OLD._replace(version="3.5.9-1~deb13u1")

    def newest(pin, passed_over):
        if pin.name == "openssl":
            passed_over.append(update.PassedOver(gone, False, ["the mirror by apt: 404"]))
        return pin if pin.name == "openssl" else pin._replace(version="99.1", sha256="9" * 64)

    monkeypatch.setattr(update, "newest", newest)
    told = "could not be fetched:\n\n- openssl 3.5.9-1~deb13u1\n  - the mirror by apt: 404\n"
    assert update.main(["openssl", "idna"], look=False) == 0
    assert told in (folder / "dist/update.md").read_text() and told in capsys.readouterr().out
    assert update.main(["openssl"], look=False) == 0
    assert capsys.readouterr().out.startswith("nothing newer can be fetched\n") and not (folder / "dist/update.md").exists()


@pytest.mark.parametrize("length", [0, 64_000, 66_000, 10_000_000])
def test_a_report_fits_into_the_text_of_a_pull_request(length):
    report = "Update openssl\n\n| a table |\n\nopenssl:\n\n```\n" + "  * Import a version\n" * (length // 21) + "```\n"
    told = update.bounded(report)
    assert told == report if length < 65_000 else "was cut here" in told
    assert len(told) <= 65_536 and told.startswith("Update openssl\n\n| a table |\n") and told.count("```") == 2


def test_nothing_newer(project, monkeypatch, capsys):
    _, ran, _ = project
    monkeypatch.setattr(update, "newest_pypi", lambda pin: pin)
    assert update.main(["idna"], look=False) == 0
    assert capsys.readouterr().out == "everything is at its newest version\n" and ran == []
