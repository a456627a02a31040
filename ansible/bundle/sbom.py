"""What a bundle is made of: CycloneDX 1.6 and a list of licences, both from the wheels' own metadata."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from licences import LicenceError, Licences
from packageurl import PackageURL
from packaging.utils import canonicalize_name
from wheelhouse import Wheel


@dataclass(frozen=True)
class Part:
    """One thing in the bundle, for both lists."""

    name: str
    version: str
    licence: str  # SPDX expression
    sha256: str
    purl: PackageURL
    kind: ComponentType = ComponentType.LIBRARY
    note: str = ""
    needs: tuple[str, ...] = ()  # names of other parts
    inside: tuple[tuple[str, str], ...] = field(default=())  # (library, licence) travelling inside


def of_wheels(
    wheels: Mapping[str, Wheel], digests: Mapping[str, str], extras: Sequence[str], rules: Licences
) -> list[Part]:
    """The parts that are wheels; raises LicenceError with every complaint at once."""
    parts, complaints = [], []
    for name, wheel in wheels.items():
        try:
            licence, note = rules.of_wheel(wheel)
            inside = rules.inside(wheel)
        except LicenceError as error:
            complaints.append(str(error))
            continue
        wanted = extras if name == "llm-privacy-appliance" else ()
        needs = tuple(sorted({str(canonicalize_name(each.name)) for each in wheel.requires(wanted)} & set(wheels)))
        purl = PackageURL("pypi", None, name, wheel.version)
        kind = ComponentType.APPLICATION if name == "llm-privacy-appliance" else ComponentType.LIBRARY
        parts.append(Part(name, wheel.version, licence, digests[name], purl, kind, note, needs, inside))
    if complaints:
        raise LicenceError("\n".join(complaints))
    return parts


def document(parts: Sequence[Part], product: str, epoch: int) -> bytes:
    """CycloneDX 1.6 JSON; checked against its schema; the same parts give the same bytes."""
    licences = LicenseFactory()
    made = {part.name: _component(part, licences) for part in parts}
    bom = Bom(components=[component for name, component in made.items() if name != product])
    bom.metadata.component = made[product]
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(f"{part.purl} {part.sha256}" for part in parts))
    for part in parts:
        bom.register_dependency(made[part.name], [made[name] for name in part.needs])
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"the SBOM does not follow its schema: {error}")
    return (text + "\n").encode()


def _component(part: Part, licences: LicenseFactory) -> Component:
    return Component(
        name=part.name,
        version=part.version,
        type=part.kind,
        bom_ref=str(part.purl),
        purl=part.purl,
        licenses=[licences.make_from_string(part.licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)],
        properties=[Property(name="appliance:inside", value=f"{name}: {licence}") for name, licence in part.inside],
    )


def table(parts: Sequence[Part]) -> bytes:
    """LICENSES.md."""
    lines = [
        "# Лицензии",
        "",
        "Что лежит в пакете и на каких условиях: по метаданным самих колёс. Тексты лицензий — внутри колёс (`*.dist-info`).",
        "То же для программ: `sbom.cdx.json` (CycloneDX 1.6).",
        "",
        "| Часть | Версия | Лицензия | Примечание |",
        "|---|---|---|---|",
    ]
    for part in parts:
        notes = [part.note] * bool(part.note) + [f"внутри {name}: {licence}" for name, licence in part.inside]
        lines.append(f"| {part.name} | {part.version} | {part.licence} | {'; '.join(notes)} |")
    return ("\n".join(lines) + "\n").encode()
