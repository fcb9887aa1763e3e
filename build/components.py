"""The components of the image: components.toml with the pinned versions, digests and licences' texts filled in."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import fetch
from recipe import HERE, SOURCES, BuildError


@dataclass(frozen=True)
class Component:
    """A component of the image. `digest` is the SHA-256 of the fetched file; `text` is the licence, which goes into /NOTICE; `changes`
    sums up how it differs from what was published, as some licences require."""

    name: str
    version: str
    license: str
    why: str
    place: str
    digest: str
    text: str
    changes: str


def requirement(project: str) -> tuple[str, str]:
    """Return the version and digest of a line of requirements.txt."""
    text = (HERE / SOURCES["pypi"]["requirements"]).read_text()
    found = re.search(rf"^{re.escape(project)}==(\S+) --hash=sha256:(\w+)", text, re.M)
    if not found:
        raise BuildError(f"requirements.txt has no {project}")
    return found[1], found[2]


def origin(reference: str) -> tuple[str, str, str, Path]:
    """Return version, package URL, digest and unpacked folder for `source:`, `package:` or `pypi:` and a name."""
    kind, name = reference.split(":")
    if kind == "pypi":
        version, sha256 = requirement(name)
        return version, f"pkg:pypi/{name}@{version}", sha256, fetch.unpacked(name)
    pinned = SOURCES[kind][name]
    version, package = pinned["version"], pinned.get("package", name)
    sha256 = pinned["dsc" if kind == "source" else "amd64"]
    folder = fetch.source(name) if kind == "source" else fetch.package(name)
    arch = "source" if kind == "source" else "amd64"
    return version, f"pkg:deb/debian/{package}@{version}?arch={arch}", sha256, folder


def components() -> list[Component]:
    """Return all components, in the order of the file."""
    found = []
    for entry in tomllib.loads((HERE / "components.toml").read_text())["component"]:
        version, place, sha256, folder = origin(entry["version"])
        text = entry.get("notice", "")
        if "text" in entry:
            (path,) = folder.glob(entry["text"])
            text = path.read_text(encoding="utf-8").strip()
        found.append(Component(entry["name"], version, entry["license"], entry["why"], place, sha256, text, entry.get("changes", "")))
    return found


def notice(parts: list[Component]) -> str:
    """Return the text of /NOTICE: each component's licence, a text that several share only once."""
    lines = ["This image is made of the bridge (MIT) and of what follows. Its bill of materials is sbom.spdx.json, beside the image.", ""]
    seen: dict[str, str] = {}
    for part in parts:
        changes = [f"Changed: {part.changes}."] if part.changes else []
        lines += ["=" * 80, f"{part.name} {part.version}: {part.license}", f"({part.why})", *changes, ""]
        if part.text and part.text in seen:
            lines += [f"The licence is the same as {seen[part.text]}'s.", ""]
        elif part.text:
            lines += [part.text, ""]
            seen[part.text] = part.name
    return "\n".join(lines)
