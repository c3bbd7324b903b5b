"""The policies that come with specflow: clean, also against the tools that they are for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from specflow.cli.policy import app
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import inline, load
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy
from specflow.resources import bundled

ROOT = Path(__file__).parents[2]
POLICIES = sorted((ROOT / "policies").glob("*.yaml"))
DATA = Path(os.environ.get("SPECFLOW_DATA") or ROOT / "../shared/data")
MODELINE = "# yaml-language-server: $schema=./specflow-policy.v1.schema.json"

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
LIST = {"type": "array", "items": TEXT}
READS = {"readOnlyHint": True}
WRITES = {"readOnlyHint": False, "destructiveHint": True}


def tool(name: str, hints: dict[str, bool], /, *required: str, **properties: Any) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": {**dict.fromkeys(required, TEXT), **properties},
        "required": list(required),
    }
    return ToolSpec(name=name, parameters=schema, hints=hints)


FILESYSTEM = [
    tool("read_text_file", READS, "path", head=NUMBER, tail=NUMBER),
    tool("read_media_file", READS, "path"),
    tool("read_multiple_files", READS, "paths", paths=LIST),
    tool("list_directory", READS, "path"),
    tool("list_directory_with_sizes", READS, "path", sortBy={"enum": ["name", "size"]}),
    tool("directory_tree", READS, "path", excludePatterns=LIST),
    tool("search_files", READS, "path", "pattern", excludePatterns=LIST),
    tool("get_file_info", READS, "path"),
    tool("list_allowed_directories", READS),
    tool("write_file", WRITES, "path", "content"),
    tool("edit_file", WRITES, "path", "edits", edits={"type": "array"}, dryRun={"type": "boolean"}),
    tool("create_directory", {"readOnlyHint": False, "idempotentHint": True}, "path"),
    tool("move_file", WRITES, "source", "destination"),
]
GIT = [
    tool("git_status", READS, "repo_path"),
    tool("git_diff_unstaged", READS, "repo_path", context_lines=NUMBER),
    tool("git_diff_staged", READS, "repo_path", context_lines=NUMBER),
    tool("git_diff", READS, "repo_path", "target", context_lines=NUMBER),
    tool("git_show", READS, "repo_path", "revision"),
    tool("git_log", READS, "repo_path", max_count=NUMBER, start_timestamp=TEXT, end_timestamp=TEXT),
    tool("git_branch", READS, "repo_path", "branch_type", contains=TEXT, not_contains=TEXT),
    tool("git_add", WRITES, "repo_path", "files", files=LIST),
    tool("git_reset", WRITES, "repo_path"),
    tool("git_commit", WRITES, "repo_path", "message"),
    tool("git_commit_signed", WRITES, "repo_path", "message", key_id=TEXT),
    tool("git_create_branch", WRITES, "repo_path", "branch_name", base_branch=TEXT),
    tool("git_checkout", WRITES, "repo_path", "branch_name"),
]
SQL = [tool("query", READS, "sql"), tool("execute", WRITES, "sql")]


def findings(file: Path, tools: ToolRegistry | None) -> list[str]:
    found = survey(file, tools=tools)
    assert found.findings == ()
    assert found.compiled is not None
    policy = Policy(found.compiled, tools=tools, tests=found.tests)
    assert [result.failures for result in inline.run(policy) if result.failures] == []
    return [str(finding) for finding in lint(policy, found.reads)]


@pytest.mark.parametrize("file", POLICIES, ids=lambda path: path.name)
def test_they_are_clean(file: Path) -> None:
    assert findings(file, None) == []


@pytest.mark.parametrize(
    ("name", "tools"),
    [("filesystem", FILESYSTEM), ("git", GIT), ("sql", SQL)],
    ids=["filesystem", "git", "sql"],
)
def test_they_are_clean_against_the_tools_they_are_for(name: str, tools: list[ToolSpec]) -> None:
    assert findings(bundled(f"policies/{name}.yaml"), ToolRegistry(tools)) == []


def test_travel_is_clean_against_its_desk() -> None:
    from examples.travel.desk import Desk
    from examples.travel.tools import travel_tools
    from specflow.graph.tools import specs_of

    desk = Desk.__new__(Desk)  # only the tools' shapes are looked at; nothing is called
    tools = ToolRegistry(specs_of(travel_tools(desk).everything))
    assert findings(bundled("policies/travel.yaml"), tools) == []


@pytest.mark.data
@pytest.mark.parametrize("name", ["airline", "retail"])
def test_they_are_clean_against_the_benchmarks_tools(name: str) -> None:
    file = DATA / f"tools_tau2_{name}.json"
    if not file.exists():
        pytest.skip("the recorded tools are not here: set SPECFLOW_DATA")
    listed = [item["function"] for item in json.loads(file.read_text())]
    if name == "airline":
        # The first edition of the benchmark has one tool more.
        listed.append({"name": "think", "description": "", "parameters": {"type": "object"}})
    tools = ToolRegistry(
        ToolSpec(name=item["name"], description=item["description"], parameters=item["parameters"])
        for item in listed
    )
    assert findings(bundled(f"policies/{name}.yaml"), tools) == []


@pytest.mark.parametrize("file", POLICIES, ids=lambda path: path.name)
def test_editors_find_the_schema_beside_them(file: Path) -> None:
    assert file.read_text().splitlines()[0] == MODELINE


def test_the_shipped_schema_is_the_one_that_is_printed() -> None:
    from typer.testing import CliRunner

    printed = CliRunner().invoke(app, ["schema"])
    assert printed.exit_code == 0
    assert bundled("policies/specflow-policy.v1.schema.json").read_text(encoding="utf-8") == printed.stdout


def test_the_folder_holds_policies_to_choose_from_and_nothing_that_stops_a_folder_from_loading() -> None:
    assert {path.stem for path in POLICIES} >= {"airline", "filesystem", "git", "sql", "strict", "travel"}
    assert load(POLICIES[0]).files == (str(POLICIES[0]),)
