"""What a run needs, made once and kept under .cache/bench: the bridge as installed, the two peers, the load generator."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".cache" / "bench"
LOAD, PUBLISH, GO_BRIDGE, SQS = CACHE / "load", CACHE / "publish", CACHE / "bridge-go", CACHE / "sqs"
BRIDGE_SOURCES = (
    *sorted((ROOT / "bridge").rglob("*.py")),
    *(ROOT / name for name in ("bridge/sns/_rsa.c", "bridge/py.typed", "docs/bridge.1", "docs/completion/bridge")),
    *(ROOT / name for name in ("pyproject.toml", "LICENSE")),
)

# The Go client library for RabbitMQ, as Debian packages its source. It is downloaded and unpacked here, never installed.
AMQP091 = "golang-github-rabbitmq-amqp091-go-dev"
AMQP091_VERSION, AMQP091_SUITE = "1.10.0-1", "trixie"
AMQP091_SHA256 = "248f301c6867824f4c0191461577ee6541a026ca5d63d73c69e24bd5fca9483f"


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def run(command: Sequence[object], **environment: str) -> str:
    """Return what the command printed, or end with what it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def needs(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise SystemExit(f"{program} is missing: apt-get install {package}")


def stale(made: Path, *sources: Path) -> bool:
    """Tell whether `made` is missing or of other sources than these. If so it is removed, and to be made now."""
    note = made.with_name(made.name + ".of")
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if made.exists() and note.exists() and note.read_text() == key:
        return False
    made.unlink(missing_ok=True)
    note.write_text(key)
    return True


def install_bridge() -> None:
    """pip install of the bridge as it lies here; from a copy, because an installation leaves its work files in the tree."""
    mark = CACHE / "bridge.installed"
    if not stale(mark, *BRIDGE_SOURCES):
        return
    say("installing the bridge from source")
    copy = CACHE / "source"
    shutil.rmtree(copy, ignore_errors=True)
    for source in BRIDGE_SOURCES:
        place = copy / source.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    (copy / "README.md").touch()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--no-deps", "--no-build-isolation", "--force-reinstall", copy])
    mark.touch()


def library() -> Path:
    """Return a GOPATH with amqp091-go, from the machine's own Debian mirror by an apt of our own."""
    home = CACHE / f"amqp091-{AMQP091_VERSION}"
    tree = home / "tree"
    if tree.exists():
        return tree / "usr/share/gocode"
    needs("apt-get", "apt")
    shutil.rmtree(home, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/sources.list.d"):
        (home / folder).mkdir(parents=True)
    found = run(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"]).splitlines()
    mirrors = [line.split()[1] for line in found if line.startswith("Debian ")]
    if not mirrors:
        raise SystemExit("apt knows no Debian mirror: run apt-get update on a Debian machine")
    signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    (home / "etc/sources.list").write_text(f"deb {signed} {mirrors[0]} {AMQP091_SUITE} main\n")
    places = "".join(
        f'{name} "{home}/{folder}";\n' for name, folder in (("Dir::Etc", "etc"), ("Dir::State::Lists", "lists"), ("Dir::Cache", "cache"))
    )
    (home / "apt.conf").write_text(places + 'APT::Sandbox::User "root";\nAcquire::Languages "none";\n')
    run(["apt-get", "update"], APT_CONFIG=str(home / "apt.conf"))
    package = f"{AMQP091}_{AMQP091_VERSION}_all.deb"
    run(["sh", "-c", f"cd {home} && apt-get download {AMQP091}={AMQP091_VERSION}"], APT_CONFIG=str(home / "apt.conf"))
    if hashlib.sha256((home / package).read_bytes()).hexdigest() != AMQP091_SHA256:
        raise SystemExit(f"{package}: its SHA-256 is not the one in {Path(__file__).name}")
    run(["dpkg-deb", "-x", home / package, tree])
    return tree / "usr/share/gocode"


def build_in_go(made: Path, source: Path, path: Callable[[], object]) -> None:
    """path gives the GOPATH that the source needs."""
    if not stale(made, source):
        return
    say(f"building {source.name}")
    go = Path(sys.executable).with_name("go")
    options = {
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "GOPATH": str(path()),
        "GOCACHE": str(CACHE / "go-cache"),
    }
    run([go, "build", "-trimpath", "-ldflags", "-s -w", "-o", made, source], **options)


def build_load() -> None:
    """The load generator, and the publisher that the broker's own bound is measured with."""
    for made in (LOAD, PUBLISH):
        source = HERE / f"{made.name}.c"
        if stale(made, source):
            needs("cc", "gcc")
            say(f"building {source.name}")
            run(["cc", "-O2", "-Wall", "-o", made, source])


def everything() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    install_bridge()
    build_in_go(GO_BRIDGE, HERE / "peers/bridge.go", library)
    build_in_go(SQS, HERE / "peers/sqs.go", lambda: CACHE)
    build_load()


def versions() -> dict[str, str]:
    """What was measured with what, for the report."""
    from importlib.metadata import version

    go = run([Path(sys.executable).with_name("go"), "version"]).split()[2].removeprefix("go")
    return {
        "Go": f"{go}, amqp091-go {AMQP091_VERSION.split('-')[0]}",
        "FastAPI": f"{version('fastapi')}, uvicorn {version('uvicorn')}, aio-pika {version('aio-pika')}",
        "Python": sys.version.split()[0],
    }
