"""Fuzz with atheris: `python -m tests.fuzz.run [TARGET ...] [--seconds N]`, or run files again: `... TARGET FILE ...`.

It starts from the kept corpus in tests/fuzz/corpus; new inputs go to .cache/fuzz. --keep puts those new inputs that reach
new code into the kept corpus.
"""

import argparse
import importlib.util
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
LARGEST_KEPT = 2048  # bytes


def child(name: str, options: list[str]) -> None:
    """In a process of its own: libFuzzer's loop, which never returns."""
    import atheris

    with atheris.instrument_imports(include=["bridge"]):
        from tests.fuzz.targets import TARGETS
    # libFuzzer's -merge starts itself again by what stands first, through a shell.
    atheris.Setup([f"{sys.executable} -m tests.fuzz.run {name} --child", *options], TARGETS[name])
    atheris.Fuzz()


def start(name: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--child", *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")


def fuzz(name: str, seconds: int, found: Path) -> bool:
    """Fuzz one target; return whether nothing was found. A crash, and 5 s without an end, leave a file in found."""
    new = found / name
    new.mkdir(parents=True, exist_ok=True)
    artifacts = found / f"{name}-"
    process = start(
        name,
        f"-max_total_time={seconds}",
        "-timeout=5",
        "-rss_limit_mb=2048",
        "-max_len=8192",
        f"-artifact_prefix={artifacts}",
        str(new),
        str(CORPUS / name),
    )
    lines = ["starting"]

    def progress() -> None:
        started = time.monotonic()
        while not ended.wait(10):
            print(f"{name}: {time.monotonic() - started:.0f} of {seconds} s: {lines[-1]}", flush=True)

    ended = threading.Event()
    threading.Thread(target=progress, daemon=True).start()
    tail: list[str] = []
    for line in process.stdout or ():
        tail = [*tail[-60:], line]
        if line[:1] == "#" and line[1:2].isdigit():
            lines.append(" ".join(line.split()[:8]))
    ended.set()
    if process.wait() == 0:
        print(f"{name}: nothing found in {seconds} s ({lines[-1]})", flush=True)
        return True
    print("".join(tail))
    print(f"{name}: FOUND something, see above. Again: python -m tests.fuzz.run {name} {artifacts}<the file>", flush=True)
    return False


def keep(name: str, found: Path) -> None:
    """Add to the kept corpus what reaches new code, as small as it is."""
    small = [path for path in (found / name).iterdir() if path.stat().st_size <= LARGEST_KEPT]
    shelf = found / f"{name}.small"
    shelf.mkdir(exist_ok=True)
    for path in small:
        (shelf / path.name).write_bytes(path.read_bytes())
    before = len(list((CORPUS / name).iterdir()))
    process = start(name, "-merge=1", str(CORPUS / name), str(shelf))
    process.communicate()
    print(f"{name}: {before} kept before, {len(list((CORPUS / name).iterdir()))} now")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET or FILE")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--found", type=Path, default=ROOT / ".cache" / "fuzz")
    parser.add_argument("--keep", action="store_true")
    if "--child" in sys.argv:
        at = sys.argv.index("--child")
        child(sys.argv[1], sys.argv[at + 1 :])
    options = parser.parse_args()
    if not importlib.util.find_spec("atheris"):
        print("atheris is missing: make venv with Python 3.11 to 3.13 (it has no wheel for others)")
        return 2
    from tests.fuzz.targets import TARGETS

    files = [name for name in options.names if name not in TARGETS]
    names = [name for name in options.names if name in TARGETS] or list(TARGETS)
    if files:
        for name in files:
            TARGETS[names[0]](Path(name).read_bytes())
            print(f"{name}: nothing found")
        return 0
    if options.keep:
        for name in names:
            keep(name, options.found)
        return 0
    results = [fuzz(name, options.seconds, options.found) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
