"""Bundled files are found in a repository and in a wheel, and nowhere else."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import specflow
from specflow import resources
from specflow.errors import ConfigurationError
from specflow.resources import TOP_LEVEL, bundled

ROOT = Path(__file__).resolve().parents[2]


def test_an_editable_install_reads_the_repository() -> None:
    assert bundled("policies/travel.yaml") == ROOT / "policies" / "travel.yaml"


def test_the_build_bundles_exactly_the_names_that_may_be_asked_for() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert build["force-include"] == {name: f"specflow/_bundled/{name}" for name in TOP_LEVEL}


def test_a_wheel_is_read_before_whatever_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "specflow"
    inside = package / "_bundled" / "policies"
    inside.mkdir(parents=True)
    (inside / "a.yaml").write_text("inside")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a.yaml").write_text("someone else's")
    (tmp_path / "policies" / "b.yaml").write_text("someone else's")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert bundled("policies/a.yaml").read_text() == "inside"
    with pytest.raises(ConfigurationError, match="install specflow again"):
        bundled("policies/b.yaml")


def test_a_missing_file_names_itself_and_where_it_was_sought() -> None:
    with pytest.raises(ConfigurationError) as raised:
        bundled("policies/nothing-of-this-name.yaml")
    assert "policies/nothing-of-this-name.yaml" in str(raised.value)
    assert str(ROOT) in str(raised.value)
    assert raised.value.facts == {"relative": "policies/nothing-of-this-name.yaml"}


@pytest.mark.parametrize(
    "relative",
    ["", ".", "..", "/etc/passwd", "policies/../LICENSE", "../main/policies", "specflow/errors.py", "LICENSE",
     "policies\\travel.yaml", "policies/x/../../../etc/passwd"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(relative: str) -> None:
    with pytest.raises(ConfigurationError, match="starting with one of policies, migrations, examples"):
        bundled(relative)


@given(
    st.lists(st.sampled_from(["policies", "migrations", "examples", "..", ".", "", "LICENSE", "travel.yaml"]))
)
def test_whatever_is_asked_for_the_answer_lies_in_a_bundled_folder(parts: list[str]) -> None:
    try:
        found = bundled("/".join(parts))
    except ConfigurationError:
        return
    assert found.resolve().relative_to(ROOT).parts[0] in TOP_LEVEL


def test_the_version_is_the_same_inside_and_outside() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert specflow.__version__ == project["version"]
