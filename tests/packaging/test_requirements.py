"""The pinned requirements are complete, name no index or machine, and agree with pyproject.toml."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("demo", "dev", "lowest")


def pins(name: str) -> dict[str, list[Requirement]]:
    """What a file pins; one name can have a pin per platform or Python."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    found: dict[str, list[Requirement]] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line.partition("--hash")[0].strip())
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def version(requirement: Requirement) -> Version:
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", requirement
    return Version(specifier.version)


def declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return [Requirement(text) for text in wanted]


@pytest.mark.parametrize("name", NAMES)
def test_every_pin_has_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text.partition("\n")[2])
    assert len(blocks) > 50
    assert [block for block in blocks if block.strip() and "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_file_names_an_index_a_host_or_a_folder(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert re.findall(r"://|--index|--extra-index|--find-links|@ |(?:^|\s)/\w+", text) == []


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("demo", ()),
        ("dev", ("postgres", "otlp", "mcp", "docs", "dev")),
        ("lowest", ("postgres", "otlp", "mcp", "docs", "dev")),
    ],
)
def test_every_declared_dependency_is_pinned_within_its_bounds(name: str, extras: tuple[str, ...]) -> None:
    pinned = pins(name)
    for wanted in declared(*extras):
        if wanted.name == "specflow":
            continue
        for pin in pinned[canonicalize_name(wanted.name)]:
            assert wanted.specifier.contains(version(pin), prereleases=True), f"{pin} does not fit {wanted}"


def test_an_editable_install_needs_nothing_more() -> None:
    for name in NAMES:
        assert {"hatchling", "editables"} <= pins(name).keys()


def test_the_demo_runs_on_the_versions_that_are_tested() -> None:
    dev = pins("dev")
    for name, found in pins("demo").items():
        assert {version(pin) for pin in found} <= {version(pin) for pin in dev[name]}


def test_the_lowest_lane_really_tests_the_declared_lower_bounds() -> None:
    pinned = pins("lowest")
    for wanted in declared("postgres", "otlp", "mcp"):
        (lower,) = (Version(spec.version) for spec in wanted.specifier if spec.operator == ">=")
        for pin in pinned[canonicalize_name(wanted.name)]:
            assert version(pin) == lower, f"{wanted} says {lower}, the lowest that resolves is {version(pin)}"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wanted_with_an_extra_is_pinned_with_it(name: str) -> None:
    """pip before 23.3 takes the newest `name[extra]` when only `name` is pinned, and then refuses it."""
    pinned = pins(name)
    bare: set[str] = set()
    for package in pinned:
        try:
            wanted = importlib.metadata.requires(package) or ()
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform, or of the other files
        for text in wanted:
            requirement = Requirement(text)
            if not requirement.extras or (
                requirement.marker and not requirement.marker.evaluate({"extra": ""})
            ):
                continue
            ways = pinned.get(canonicalize_name(requirement.name), ())
            if ways and not any(requirement.extras <= pin.extras for pin in ways):
                bare.add(f"{requirement} of {package}")
    assert bare == set()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_pinned_with_an_extra_is_pinned_without_it_too(name: str) -> None:
    """The same the other way about: one package may want `name[extra]` and the next one only `name`."""
    found = {package: {bool(pin.extras) for pin in pins} for package, pins in pins(name).items()}
    assert [package for package, ways in found.items() if ways == {True}] == []
