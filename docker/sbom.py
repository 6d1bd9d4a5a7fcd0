"""Prints what this image holds as CycloneDX 1.6: each Python and each Debian package."""

import json
import platform
import subprocess
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from typing import Any

Component = dict[str, Any]


def main() -> None:
    """Packages of the base that one of the lock hides are left out: nothing can import them."""
    python: dict[str, Component] = {}
    for found in distributions():
        python.setdefault(found.name.lower().replace("_", "-"), _python(found))
    components = sorted([*python.values(), *_debian()], key=lambda component: component["purl"])
    # Of the same packages the same document.
    names = "\n".join(component["purl"] for component in components)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, names)}",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "msra-ner"}},
        "components": components,
    }
    print(json.dumps(bom, indent=1))


def _python(found: Distribution) -> Component:
    name = found.name.lower().replace("_", "-")
    purl = f"pkg:pypi/{name}@{found.version.replace('+', '%2B')}"
    component = {"type": "library", "name": found.name, "version": found.version, "purl": purl}
    expression, free = found.metadata.get("License-Expression"), found.metadata.get("License")
    if expression:
        component["licenses"] = [{"expression": expression}]
    elif free and "\n" not in free:  # some put the licence's whole text there
        component["licenses"] = [{"license": {"name": free}}]
    return component


def _debian() -> Iterator[Component]:
    system = platform.freedesktop_os_release()["ID"]
    line = "${Package} ${Version} ${Architecture}\n"
    printed = subprocess.check_output(["dpkg-query", "--show", "--showformat", line], text=True)
    for name, version, architecture in map(str.split, printed.splitlines()):
        escaped = version.replace("+", "%2B").replace(":", "%3A")
        purl = f"pkg:deb/{system}/{name.replace('+', '%2B')}@{escaped}?arch={architecture}"
        yield {"type": "library", "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main()
