"""The weekly jobs that raise pins, by the workflow's own commands, with a real gh; GitHub and `make update` are stood in for."""

import json
import os
import re
import socketserver
import subprocess
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler

import pytest

from tests.deploy.test_workflow import JOBS

# What `make update` leaves: new pins in the tree, and a report whose first line is the request's title.
MAKEFILE = """\
update:
	@mkdir -p dist; printf 'Update idna\\n\\nto $(VERSION)\\n' >dist/update.md; echo "$(VERSION)" >pins; exit $(STATUS)
"""


class GitHub(socketserver.ThreadingUnixStreamServer):
    """GitHub's interface for pull requests, as its REST reference has it: list (by state and head), create, update.

    Attributes: requests, number -> fields, with `state`; allowed, whether the repository lets workflows create them."""

    daemon_threads = True

    def __init__(self, path):
        self.requests, self.allowed = {}, True
        super().__init__(str(path), Answer)

    def answer(self, method, path, asked, fields):
        if method == "GET" and path == "/repos/owner/bridge/pulls":
            wanted = {"state": asked["state"], "head": asked["head"].removeprefix("owner:")}
            return 200, [one for one in self.requests.values() if wanted.items() <= one.items()]
        if method == "POST" and path == "/repos/owner/bridge/pulls":
            if not self.allowed:
                return 403, {"message": "GitHub Actions is not permitted to create or approve pull requests."}
            assert fields.keys() == {"title", "head", "base", "body"} and len(fields["title"]) <= 256 and len(fields["body"]) <= 65536
            if [one for one in self.requests.values() if (one["state"], one["head"]) == ("open", fields["head"])]:
                return 422, {"message": "Validation Failed"}
            number = len(self.requests) + 1
            self.requests[number] = fields | {
                "number": number,
                "state": "open",
                "html_url": f"https://github.com/owner/bridge/pull/{number}",
            }
            return 201, self.requests[number]
        [number] = re.fullmatch(r"/repos/owner/bridge/pulls/(\d+)", path).groups()
        assert method == "PATCH" and fields.keys() == {"title", "body"}
        self.requests[int(number)] |= fields
        return 200, self.requests[int(number)]


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = dict(urllib.parse.parse_qsl(address.query, strict_parsing=True)) if address.query else {}
        known = self.headers["Authorization"] == "token secret"
        status, told = self.server.answer(self.command, address.path, asked, json.loads(body or b"{}")) if known else (401, {})
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PATCH = do_GET

    def address_string(self):
        return "gh"

    def log_message(self, *_):
        pass


class Workplace:
    """A clone whose origin is a bare repository."""

    def __init__(self, folder):
        self.folder, self.origin, self.github = folder, folder / "origin.git", GitHub(folder / "github")
        (folder / "config.yml").write_text(f"http_unix_socket: {folder}/github\n")  # gh's own setting: all that it asks goes there
        self.environment = os.environ | {"GITHUB_OUTPUT": str(folder / "output"), "RUNNER_TEMP": str(folder), "HOME": str(folder)}
        self.environment |= {"GH_TOKEN": "secret", "GH_CONFIG_DIR": str(folder), "GITHUB_ACTOR": "robot", "GITHUB_REF_NAME": "main"}
        self.environment |= {"GITHUB_REPOSITORY": "owner/bridge", "GITHUB_REPOSITORY_OWNER": "owner"}
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
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        done = subprocess.run(words, cwd=where, env=self.environment | settings, capture_output=True, text=True, check=False, timeout=60)
        self.said = done.stdout + done.stderr
        return done.returncode

    def week(self, name, **settings):
        """Both jobs; their statuses, None for one that does not run."""
        tree = self.clone(name)
        (self.folder / "output").write_text("")
        status = self.run("update", tree, **settings)
        if "changed=yes" in (self.folder / "output").read_text():
            (self.folder / "update").mkdir(exist_ok=True)
            for file in ("pins.diff", "update.md"):
                (self.folder / "update" / file).write_bytes((tree / "dist" / file).read_bytes())
            return status, self.run("propose", self.clone(name + "-proposed"))
        return status, None

    def branches(self):
        return self.git(self.origin, "branch", "--format=%(refname:short)").split()


@pytest.fixture
def workplace(folder):
    made = Workplace(folder)
    thread = threading.Thread(target=made.github.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.github.shutdown()
    made.github.server_close()
    thread.join()


def test_new_pins_become_a_branch_and_one_request(workplace):
    assert workplace.week("monday", VERSION="3.20", STATUS="0") == (0, 0)
    [branch] = set(workplace.branches()) - {"main"}
    assert branch.startswith("update-")
    assert workplace.git(workplace.origin, "show", f"{branch}:pins") == "3.20\n"
    assert workplace.git(workplace.origin, "show", "main:pins") == "3.10\n"
    assert workplace.git(workplace.origin, "log", "-1", "--format=%s %an", branch) == "Update idna robot\n"
    [request] = workplace.github.requests.values()
    assert (request["title"], request["head"], request["base"]) == ("Update idna", branch, "main")
    assert request["body"] == "Update idna\n\nto 3.20\n"
    assert request["html_url"] in workplace.said


def test_the_second_run_of_a_week_goes_into_the_open_request(workplace):
    workplace.week("monday", VERSION="3.20", STATUS="0")
    assert workplace.week("again", VERSION="3.21", STATUS="0") == (0, 0)
    [request] = workplace.github.requests.values()
    assert request["body"] == "Update idna\n\nto 3.21\n"
    assert workplace.git(workplace.origin, "show", f"{request['head']}:pins") == "3.21\n"


def test_a_request_that_was_closed_is_not_the_one_to_change(workplace):
    workplace.week("monday", VERSION="3.20", STATUS="0")
    workplace.github.requests[1]["state"] = "closed"
    assert workplace.week("again", VERSION="3.21", STATUS="0") == (0, 0)
    assert {number: one["body"] for number, one in workplace.github.requests.items()} == {
        1: "Update idna\n\nto 3.20\n",
        2: "Update idna\n\nto 3.21\n",
    }


def test_a_repository_that_allows_no_requests_is_told_why_and_has_the_branch(workplace):
    workplace.github.allowed = False
    assert workplace.week("monday", VERSION="3.20", STATUS="0") == (0, 1)
    assert "GitHub Actions is not permitted to create or approve pull requests" in workplace.said
    assert len(workplace.branches()) == 2


def test_pins_that_do_not_build_are_proposed_too_and_the_job_is_red(workplace):
    failed, proposed = workplace.week("monday", VERSION="3.20", STATUS="1")
    assert failed and proposed == 0 and len(workplace.branches()) == 2 and len(workplace.github.requests) == 1


def test_nothing_new_is_no_request(workplace):
    assert workplace.week("monday", VERSION="3.10", STATUS="0") == (0, None)
    assert workplace.branches() == ["main"] and not workplace.github.requests
