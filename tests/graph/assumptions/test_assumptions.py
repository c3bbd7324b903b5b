"""What specflow takes for granted of LangGraph and LangChain: it holds, and is named where it does not.

Facts that are looked at elsewhere: what forks take from inside (test_fork_assumptions.py), what a loop was
loaded from (resume/test_loaded_checkpoints.py), the annotations of MCP tools (test_mcp_tools.py), the five
shapes of reasoning (test_model_forms.py), and what a checkpoint forgets when the process is killed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
import run_facts
import stream_facts
import tool_facts
from packaging.requirements import Requirement
from packaging.version import Version

from specflow.errors import ConfigurationError
from specflow.graph import compat
from specflow.graph.versions import SEEN, unusable

FACTS = [*stream_facts.FACTS, *tool_facts.FACTS, *run_facts.FACTS]
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_it_holds(fact: Any) -> None:
    fact.check()


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_it_holds_after_it_did_not(fact: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers take tests from each other, in any order: what is broken for one leaves nothing behind."""
    with monkeypatch.context() as patch:
        fact.breaks(patch)
        with pytest.raises(AssertionError):
            fact.check()
    fact.check()


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_it_is_named_when_it_holds_no_longer(fact: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fact.breaks(patch)
        with pytest.raises(AssertionError) as caught:
            fact.check()
    told = str(caught.value)
    assert fact.says in told
    assert fact.mend in told
    assert "compatibility.md" in told


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_it_names_modules_that_are_there(fact: Any) -> None:
    (path, *_rest) = fact.used.split(" ")
    assert (ROOT / path).exists()


def test_the_page_and_the_bounds_say_what_was_seen() -> None:
    page = (ROOT / "docs/reference/compatibility.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {one.name: one.specifier for one in map(Requirement, project["dependencies"])}
    for package, (lowest, newest) in SEEN.items():
        assert f"| {package} | {lowest} | {newest} |" in page
        declared = next(one.version for one in bounds[package] if one.operator == ">=")
        assert Version(declared) == Version(lowest), f"{package}: nothing below its bound was seen to work"
        assert newest in bounds[package]


def imported() -> list[tuple[str, str]]:
    """Every name that compat takes from the outside."""
    tree = ast.parse(inspect.getsource(compat))
    return [
        (node.module, name.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("lang",))
        for name in node.names
    ]


def test_what_compat_imports_is_found() -> None:
    assert ("langgraph.types", "_interrupt_id") in imported()
    assert len(imported()) > 15


@pytest.mark.parametrize(("module", "name"), imported())
def test_a_name_that_is_gone_is_an_error_with_the_versions_in_it(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(importlib.import_module(module), name)
    # Some modules would only fetch it again.
    monkeypatch.delattr(importlib.import_module(module), "__getattr__", raising=False)
    with pytest.raises(ImportError) as caught:
        exec(f"from {module} import {name}", {})
    error = unusable(caught.value)
    package = error.facts["package"]
    told = str(error)
    assert name in told
    assert f"specflow cannot work with {package} " in told
    assert f"pip install '{package}" in told
    if package in SEEN:
        assert f"{SEEN[package][0]} to {SEEN[package][1]}" in told  # type: ignore[index]  # a str


def test_a_program_is_told_before_anything_runs() -> None:
    code = """
        import langgraph.types
        del langgraph.types._interrupt_id
        import specflow as sf
        try:
            sf.Runtime
        except sf.ConfigurationError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "specflow cannot work with langgraph " in done.stdout
    assert "_interrupt_id" in done.stdout
    assert "pip install 'langgraph" in done.stdout


def test_a_package_of_somebody_else_is_no_riddle() -> None:
    error = unusable(ImportError("no module named 'else'", name="else"))
    assert isinstance(error, ConfigurationError)
    assert "install specflow anew" in str(error)
