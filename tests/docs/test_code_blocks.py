"""Every code block in README.md and in the documentation runs as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)])
LANGUAGES = {"python", "console", "yaml", "json", "toml", "text", "sql", "ini", "html", "mermaid", "makefile"}
NOT_EXECUTED = re.compile(r"<!--\s*not executed:\s*(?P<reason>\S.*?)\s*-->", re.DOTALL)
EXITS_WITH = re.compile(r"<!--\s*exits with (?P<code>\d+)\s*-->")

# Runs in a process of its own, so that a page can leave nothing behind, and with the page's own file
# name and line numbers, so that a traceback points into the page. `await` may stand at the top.
RUNNER = """
import ast, asyncio, inspect, json, sys
page, blocks = json.load(sys.stdin)
names = {"__name__": "__main__"}
with asyncio.Runner() as runner:
    for line, source in blocks:
        code = compile("\\n" * line + source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            import types
            runner.run(types.FunctionType(code, names)())
        else:
            exec(code, names)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block; `line` counts from 1 and is that of the opening fence."""

    language: str
    source: str
    line: int
    skipped: bool
    exits_with: int


def blocks_of(text: str) -> list[Block]:
    """All fenced blocks of a page, with the marks that stand right above them."""
    found: list[Block] = []
    comment = ""
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block":
            comment += token.content
        elif token.type == "fence":
            info = token.info.strip()
            directive = re.match(r"\{code-block\}\s*(\w+)", info)
            language = directive[1] if directive else info
            exits = EXITS_WITH.search(comment)
            assert token.map
            found.append(
                Block(
                    language=language,
                    source=token.content,
                    line=token.map[0] + 1,
                    skipped=bool(NOT_EXECUTED.search(comment)),
                    exits_with=int(exits["code"]) if exits else 0,
                )
            )
            comment = ""
        elif not token.hidden:
            comment = ""
    return found


def commands_of(source: str) -> list[str]:
    """The commands typed in a console block: lines after `$ `, with their continuations."""
    joined = source.replace("\\\n", " ")
    return [line[2:].strip() for line in joined.splitlines() if line.startswith("$ ")]


def prepare(folder: Path) -> dict[str, str]:
    """Lay out the working folder that how-to/write-documentation.md promises; return its environment."""
    for name in ("policies", "examples"):
        (folder / name).symlink_to(ROOT / name)
    secret = re.compile(r"KEY|TOKEN|SECRET|^OTEL_|^LANG(CHAIN|SMITH)_")
    environment = {name: value for name, value in os.environ.items() if not secret.search(name)}
    scripts = str(Path(sys.executable).parent)
    return {**environment, "HOME": str(folder), "PATH": scripts + os.pathsep + environment.get("PATH", "")}


def run_python(page: str, blocks: list[Block], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = prepare(folder)
    return subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps([page, [(block.line, block.source) for block in blocks]]),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def run_command(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def executed(page: Path, language: str) -> list[Block]:
    found = blocks_of(page.read_text())
    return [block for block in found if block.language == language and not block.skipped]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_language_it_is(page: Path) -> None:
    known = [
        f"{name_of(page)}:{block.line}: {block.language or 'nothing'!r}"
        for block in blocks_of(page.read_text())
        if block.language not in LANGUAGES and not block.language.startswith("{")
    ]
    assert known == [], "blocks in a language that the tests do not know"


@pytest.mark.parametrize("page", [page for page in PAGES if executed(page, "python")], ids=name_of)
def test_the_python_blocks_run(page: Path, tmp_path: Path) -> None:
    done = run_python(str(page), executed(page, "python"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if executed(page, "console")], ids=name_of)
def test_the_specflow_commands_run(page: Path, tmp_path: Path) -> None:
    environment = prepare(tmp_path)
    for block in executed(page, "console"):
        for command in commands_of(block.source):
            if command.split()[0] != "specflow":
                continue
            done = run_command(command, tmp_path, environment)
            assert done.returncode == block.exits_with, (
                f"{name_of(page)}:{block.line}: {command}\n"
                f"exit code {done.returncode} instead of {block.exits_with}\n{done.stdout}{done.stderr}"
            )


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name_of
)
def test_the_links_of_the_top_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [target for target in targets if not target.startswith(("http://", "https://", "mailto:"))]
    assert [target for target in local if not (ROOT / target).exists()] == []


# --- the means themselves ---------------------------------------------------------------------------


def test_blocks_share_their_names_and_may_await(tmp_path: Path) -> None:
    text = "```python\nimport asyncio\nx = 20\n```\n\n```python\nx += await asyncio.sleep(0, 1)\n```\n\n"
    text += "```{code-block} python\nassert x == 21\n```\n"
    done = run_python("page.md", blocks_of(text), tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_failing_block_names_the_line_of_the_page(tmp_path: Path) -> None:
    text = "# Title\n\nText.\n\n```python\nfine = 1\nassert fine == 2\n```\n"
    done = run_python("page.md", blocks_of(text), tmp_path)
    assert done.returncode == 1
    assert 'File "page.md", line 7' in done.stderr


def test_a_mark_counts_only_with_a_reason_and_right_above_its_block() -> None:
    def skipped(text: str) -> list[bool]:
        return [block.skipped for block in blocks_of(text)]

    fence = "```python\n1\n```\n"
    assert skipped(f"<!-- not executed: needs a model -->\n{fence}") == [True]
    assert skipped(f"<!-- not executed: needs a model -->\n\n{fence}") == [True]
    assert skipped(f"<!-- not executed: -->\n{fence}") == [False]
    assert skipped(f"<!-- not executed: one -->\n{fence}\n{fence}") == [True, False]
    assert skipped(f"<!-- not executed: one -->\n\nText.\n\n{fence}") == [False]


def test_commands_are_read_with_their_continuations_and_without_their_output() -> None:
    source = "$ specflow policy check \\\n    policies/travel.yaml\nclean\n$ make docs\n"
    assert [command.split() for command in commands_of(source)] == [
        ["specflow", "policy", "check", "policies/travel.yaml"],
        ["make", "docs"],
    ]


def test_no_key_reaches_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "OPENAI_API_KEY" not in prepare(tmp_path)
