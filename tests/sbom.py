"""Writes sbom.cdx.json, the CycloneDX bill of materials of constraints.txt; `make sbom` runs it, a test compares.

Versions are those of constraints.txt, licences and dependencies those that the installed packages state. It holds no
time and no serial number, so that the same pins make the same file.
"""

import json
from importlib import metadata
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from geotag_batch import __version__

ROOT = Path(__file__).parents[1]
SBOM = ROOT / "sbom.cdx.json"


def pinned() -> dict[str, str]:
    """Return the version of each package in constraints.txt, by its canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parts = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in parts}


def bill_of_materials() -> str:
    """Return the bill of materials as JSON."""
    own = Component(name="geotag-batch", version=__version__, type=ComponentType.APPLICATION, bom_ref="geotag-batch")
    parts = {name: _component(name, version) for name, version in pinned().items()}
    bom = Bom(components=parts.values())
    bom.metadata.component = own
    for name, component in {"geotag-batch": own, **parts}.items():
        extras = ("dev", "int8", "s3") if component is own else ()
        bom.register_dependency(component, [parts[each] for each in _needs(name, extras) if each in parts])
    document = json.loads(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string())
    document.pop("serialNumber", None)
    document["metadata"].pop("timestamp", None)
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _component(name: str, version: str) -> Component:
    licence = metadata.metadata(name).json.get("license_expression")
    return Component(
        name=name,
        version=version,
        purl=PackageURL("pypi", name=name, version=version),
        bom_ref=f"{name}@{version}",
        licenses=[LicenseExpression(str(licence))] if licence else [],
    )


def _needs(name: str, extras: tuple[str, ...]) -> list[str]:
    """Return what an installed package needs, by its own metadata, with some of its extras."""
    found = []
    for text in metadata.requires(name) or []:
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            found.append(canonicalize_name(needed.name))
    return sorted(set(found))


if __name__ == "__main__":
    SBOM.write_text(bill_of_materials(), encoding="utf-8")
