"""The bill of materials (SPDX 2.3, JSON): every component, and every module that is frozen into the binary."""

import hashlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from components import Component
from recipe import ARCH, CREATED, NAME


def frozen_modules(report: Path) -> list[tuple[str, str]]:
    """Return (name, kind) of each module in Nuitka's report."""
    modules = ElementTree.parse(report).getroot().iter("module")
    return sorted((module.get("name", ""), module.get("kind", "")) for module in modules)


def package(part: Component) -> dict[str, Any]:
    """Return a component as an SPDX package."""
    return {
        "SPDXID": f"SPDXRef-{part.name.replace('.', '-')}",
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": part.license,
        "licenseDeclared": part.license,
        "copyrightText": "NOASSERTION",
        "comment": part.why,
        "checksums": [{"algorithm": "SHA256", "checksumValue": part.digest}],
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": part.place}],
    }


def document(parts: list[Component], version: str, modules: list[tuple[str, str]], files: dict[str, bytes]) -> str:
    """Return the SPDX document of one image."""
    bridge = {
        "SPDXID": "SPDXRef-image",
        "name": NAME,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "MIT",
        "licenseDeclared": "MIT",
        "copyrightText": "NOASSERTION",
        "comment": "Python modules in /bin/bridge: " + " ".join(name for name, _ in modules),
    }
    entries = [
        {
            "SPDXID": f"SPDXRef-file-{number}",
            "fileName": f"./{name}",
            "copyrightText": "NOASSERTION",
            "licenseConcluded": "NOASSERTION",
            "checksums": [{"algorithm": kind, "checksumValue": hashlib.new(kind, data).hexdigest()} for kind in ("SHA1", "SHA256")],
        }
        for number, (name, data) in enumerate(files.items())
    ]
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"}]
    for element in [*map(package, parts), *entries]:
        relations.append({"spdxElementId": "SPDXRef-image", "relationshipType": "CONTAINS", "relatedSpdxElement": element["SPDXID"]})
    whole = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{NAME}-{version}-{ARCH}",
        "documentNamespace": f"https://spdx.org/spdxdocs/{NAME}-{version}-{hashlib.sha256(b''.join(files.values())).hexdigest()}",
        "creationInfo": {"created": CREATED, "creators": [f"Tool: {NAME}/build"]},
        "packages": [bridge, *map(package, parts)],
        "files": entries,
        "relationships": relations,
    }
    exceptions = ("Nuitka-Runtime-Library-Exception-1.0", "UPX-exception")
    text = json.dumps(whole, indent=1)
    for name in exceptions:  # not on SPDX's own list of exceptions, so it is named as the specification asks
        text = text.replace(f"WITH {name}", f"WITH AdditionRef-{name}")
    return text + "\n"
