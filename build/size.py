"""`make size`: the image's files against size-budget.toml; exit 1 when one is too large."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from recipe import DIST, HERE, ROOT


def table(text: str, arch: str, name: str) -> dict[str, int]:
    """Return the table `name` of a size-budget.toml: amd64's, or another architecture's own."""
    whole = tomllib.loads(text)
    return dict((whole if arch == "amd64" else whole.get(arch, {})).get(name, {}))


def before(arch: str) -> dict[str, int]:
    """Return the measured sizes in main's size-budget.toml, {} when git knows no main."""
    found = subprocess.run(["git", "-C", str(ROOT), "show", "main:build/size-budget.toml"], capture_output=True, text=True)
    return table(found.stdout, arch, "measured") if found.returncode == 0 else {}


def rows(sizes: dict[str, int], budget: dict[str, int], old: dict[str, int]) -> tuple[list[str], bool]:
    """Return the table's lines and whether all is within the budget."""
    lines, good = [f"{'':36}{'bytes':>12}{'budget':>12}{'main':>10}"], True
    for name, size in sizes.items():
        limit = budget.get(name, 0)
        good &= size <= limit
        change = f"{size - old[name]:+}" if name in old else "new"
        lines.append(f"{name:36}{size:>12,}{limit:>12,}{change:>10}{'' if size <= limit else '  TOO MANY'}")
    return lines, good


def of(told: dict[str, Any]) -> dict[str, int]:
    """Return the sizes of a size.json by the names that size-budget.toml has."""
    return dict(told["files"]) | {"sum of the files": told["sum"], "compressed layer": told["layer"]}


def recorded(text: str, arch: str, sizes: dict[str, int]) -> str:
    """Return a size-budget.toml with these sizes as the architecture's measured ones."""
    heading = "[measured]" if arch == "amd64" else f"[{arch}.measured]"
    lines = "".join(f"{json.dumps(name)} = {size}\n" for name, size in sizes.items())
    return re.sub(rf"(?m)^{re.escape(heading)}\n(?:.+\n?)*", lambda _: f"{heading}\n{lines}", text, count=1)


def documented(readme: str, told: dict[str, Any]) -> str:
    """Return README.md with the sizes of a size.json in its table "The image"."""
    bridge, whole = f"{told['files']['/bin/bridge']:,}", f"{told['unpacked']['/bin/bridge']:,}"
    if told["arch"] != "amd64":
        row = rf"(?m)^(\| the same for {told['arch']} \(the executable unpacked: )[\d,]+(\) \| )[\d,]+"
        return re.sub(row, rf"\g<1>{whole}\g<2>{told['sum']:,}", readme)
    made = re.sub(r"(?m)^(\| \*\*this image, \w+ files\*\* \| )[\d,]+", rf"\g<1>{told['sum']:,}", readme)
    return re.sub(r"(?m)^(\| of that, the executable \(unpacked\) \| )[\d,]+ \([\d,]+\)", rf"\g<1>{bridge} ({whole})", made)


def record(told: dict[str, Any], drawing: Path) -> None:
    """Write the sizes of a size.json into size-budget.toml and README.md, and amd64's drawing to where README shows it."""
    budget, readme = HERE / "size-budget.toml", ROOT / "README.md"
    budget.write_text(recorded(budget.read_text(), told["arch"], of(told)))
    readme.write_text(documented(readme.read_text(), told))
    if told["arch"] == "amd64":
        shutil.copyfile(drawing, ROOT / "docs/size.svg")


def main(arguments: list[str]) -> int:
    """Print the table of dist/size.json, or of the file named; return the exit status."""
    places = [Path(word) for word in arguments if not word.startswith("-")]
    place = places[0] if places else DIST / "size.json"
    if not place.exists():
        print(f"{place} is missing: make image", file=sys.stderr)
        return 2
    told = json.loads(place.read_text())
    sizes = of(told)
    arch = told["arch"]
    budget = table((HERE / "size-budget.toml").read_text(), arch, "budget")
    lines, good = rows(sizes, budget, before(arch))
    print("\n".join(lines))
    if "--record" in arguments:
        record(told, place.with_name("size.svg"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
