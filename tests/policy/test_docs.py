"""Every policy in the documentation loads, holds its own tests, and is clean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from specflow.policy import cel_scan, inline
from specflow.policy.document import DefaultsPart, ToolPart
from specflow.policy.finding import Severity
from specflow.policy.lint import lint
from specflow.policy.load import survey
from specflow.policy.policy import Policy

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "how-to/write-a-policy.md", DOCS / "reference/policy.md"]
BLOCKS = [block for page in PAGES for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)]


@pytest.mark.parametrize("block", BLOCKS)
def test_policies_in_the_documentation_are_clean(block: str) -> None:
    found = survey(block)
    assert found.findings == ()
    assert found.compiled is not None
    policy = Policy(found.compiled, tests=found.tests)
    assert [f for f in lint(policy, found.reads) if f.severity is not Severity.NOTE] == []
    assert all(result.passed for result in inline.run(policy))


def test_the_reference_names_every_field_function_and_code() -> None:
    text = (DOCS / "reference/policy.md").read_text()
    words = set(re.findall(r"[A-Za-z_]+", text))
    assert {(info.alias or name) for name, info in ToolPart.model_fields.items()} <= words
    assert set(DefaultsPart.model_fields) <= words
    assert words >= cel_scan.FUNCTIONS
    sources = "".join(path.read_text() for path in (DOCS.parent / "specflow/policy").glob("*.py"))
    said = set(
        re.findall(r'_say\(\s*"(\w+)"|code="(\w+)"|_finding\([^"\n]*"(\w+)"|note\([^"\n]*"(\w+)"', sources)
    )
    codes = {code for group in said for code in group if code}
    assert codes - {"must"} <= words
