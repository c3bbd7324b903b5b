"""The page about lint and the checks are one: every code is explained, and its examples are true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt

from specflow.effects.annotate import Annotation
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy.lint import CHECKS, lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy

PAGE = Path(__file__).parents[3] / "docs/reference/policy-lint.md"


class Section(NamedTuple):
    """One code as the page explains it."""

    anchor: str
    code: str
    title: str
    severity: str
    tools: str
    failing: str
    passing: str


def sections() -> list[Section]:
    found = []
    for part in re.split(r"(?m)^(?=\(sf\d+\)=$)", PAGE.read_text())[1:]:
        tokens = MarkdownIt("commonmark").parse(part)
        fences = [(token.info, token.content) for token in tokens if token.type == "fence"]
        yaml = [content for info, content in fences if info == "yaml"]
        assert len(yaml) == 2, part
        inline = [token.content for token in tokens if token.type == "inline"]
        code, _, title = inline[1].partition(": ")
        found.append(
            Section(
                anchor=inline[0].strip("()="),
                code=code,
                title=title,
                severity=inline[2].partition(".")[0].lower(),
                tools=next((content for info, content in fences if info == "json"), ""),
                failing=yaml[0],
                passing=yaml[1],
            )
        )
    return found


SECTIONS = sections()


def registry(text: str) -> ToolRegistry | None:
    return ToolRegistry(spec(**item) for item in json.loads(text)) if text else None


def spec(*, annotation: Any = None, **rest: Any) -> ToolSpec:
    if annotation is None:
        return ToolSpec(**rest)
    marked = Annotation(**{**annotation, "effect": EffectClass(annotation["effect"])})
    return ToolSpec(annotation=marked, **rest)


def codes(text: str, tools: str) -> list[str]:
    known = registry(tools)
    found = survey(text, tools=known)
    assert found.findings == ()
    assert found.compiled is not None
    return [finding.code for finding in lint(Policy(found.compiled, tools=known), found.reads)]


def test_the_page_explains_every_code_in_order_and_no_other() -> None:
    assert [(s.code, s.title, s.severity) for s in SECTIONS] == [
        (check.code, check.title, str(check.severity)) for check in CHECKS
    ]
    assert [s.anchor for s in SECTIONS] == [check.code.lower() for check in CHECKS]
    assert len({check.code for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.code)
def test_the_failing_example_fires_its_code_and_no_other(section: Section) -> None:
    assert set(codes(section.failing, section.tools)) == {section.code}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.code)
def test_the_passing_example_fires_none(section: Section) -> None:
    assert codes(section.passing, section.tools) == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_check_says_its_code_where_it_is_defined(check: Any) -> None:
    assert (check.find.__doc__ or "").startswith(f"{check.code}: ")
