"""The weekly jobs that raise pins, by the workflow's own commands, with `gh` and `make update` stood in for: a branch, and one request."""

import os
import subprocess

import pytest

from tests.deploy.test_workflow import JOBS

# What `make update` leaves: new pins in the tree, and a report whose first line is the request's title.
MAKEFILE = """\
update:
	@mkdir -p dist; printf 'Update idna\\n\\n| what | from | to |\\n' >dist/update.md; echo "$(VERSION)" >pins; exit $(STATUS)
"""
GH = """\
#!/bin/sh
echo "$*" >>"$GH_LOG"
[ "$2" != view ] || exec test -e "$GH_LOG.open"
touch "$GH_LOG.open"
"""


class Workplace:
    """A clone whose origin is a bare repository."""

    def __init__(self, folder):
        self.folder, self.origin, self.log = folder, folder / "origin.git", folder / "gh.log"
        self.environment = os.environ | {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_ACTOR": "robot", "GH_LOG": str(self.log)}
        self.environment |= {"RUNNER_TEMP": str(folder), "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
        (folder / "gh").write_text(GH)
        (folder / "gh").chmod(0o755)
        self.git(folder, "init", "-q", "--bare", "-b", "main", self.origin)
        first = self.clone("first")
        (first / "Makefile").write_text(MAKEFILE)
        (first / "pins").write_text("3.10\n")
        (first / ".gitignore").write_text("dist/\n")
        self.git(first, "add", "--all")
        self.git(first, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "first")
        self.git(first, "push", "-q", "origin", "HEAD:main")

    def git(self, where, *words):
        return subprocess.run(["git", *words], cwd=where, env=self.environment, check=True, capture_output=True, text=True).stdout

    def clone(self, name):
        self.git(self.folder, "clone", "-q", self.origin, self.folder / name)
        return self.folder / name

    def run(self, job, where, **settings):
        """The job's own commands that are not about the machine; their exit status."""
        [script] = [step["run"] for step in JOBS[job]["steps"] if "git apply" in step.get("run", "") or step.get("id") == "pins"]
        environment = self.environment | settings
        return subprocess.run(["bash", "-e", "-c", script], cwd=where, env=environment, capture_output=True, check=False).returncode

    def week(self, name, **settings):
        """Both jobs; the status of the first."""
        tree = self.clone(name)
        (self.folder / "output").write_text("")
        status = self.run("update", tree, **settings)
        if "changed=yes" in (self.folder / "output").read_text():
            (self.folder / "update").mkdir(exist_ok=True)
            for file in ("pins.diff", "update.md"):
                (self.folder / "update" / file).write_bytes((tree / "dist" / file).read_bytes())
            assert self.run("propose", self.clone(name + "-proposed")) == 0
        return status

    def branches(self):
        return self.git(self.origin, "branch", "--format=%(refname:short)").split()


@pytest.fixture
def workplace(folder):
    return Workplace(folder)


def test_new_pins_become_a_branch_and_one_request(workplace):
    assert workplace.week("monday", VERSION="3.20", STATUS="0") == 0
    [branch] = set(workplace.branches()) - {"main"}
    assert branch.startswith("update-")
    assert workplace.git(workplace.origin, "show", f"{branch}:pins") == "3.20\n"
    assert workplace.git(workplace.origin, "show", "main:pins") == "3.10\n"
    assert workplace.git(workplace.origin, "log", "-1", "--format=%s %an", branch) == "Update idna robot\n"
    assert f"pr create --title Update idna --body-file {workplace.folder}/update/update.md" in workplace.log.read_text()
    assert workplace.week("again", VERSION="3.21", STATUS="0") == 0
    assert workplace.log.read_text().count("pr create") == 1, "the second run of a week goes into the open request"
    assert workplace.git(workplace.origin, "show", f"{branch}:pins") == "3.21\n"


def test_pins_that_do_not_build_are_proposed_too_and_the_job_is_red(workplace):
    assert workplace.week("monday", VERSION="3.20", STATUS="1") != 0
    assert len(workplace.branches()) == 2 and "pr create" in workplace.log.read_text()


def test_nothing_new_is_no_request(workplace):
    assert workplace.week("monday", VERSION="3.10", STATUS="0") == 0
    assert workplace.branches() == ["main"] and not workplace.log.exists()
