"""The documentation builds without a warning, and no reference in it leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from specflow.lifecycle import APPROVAL_MOVES, BRANCH_MOVES, MOVES

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b", "html"]
    command += ["-d", str(out / "doctrees"), str(ROOT / "docs"), str(out / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "html"


def test_the_table_of_moves_is_the_one_of_the_code(html: Path) -> None:
    page = (html / "reference" / "lifecycle.html").read_text()
    rows = [row.partition("</tr>")[0].partition("</td>") for row in page.split("<tr") if "<td" in row]
    cells = {marked(first)[0]: marked(second) for first, _, second in rows}
    for moves in (MOVES, BRANCH_MOVES, APPROVAL_MOVES):
        for source, targets in moves.items():
            assert sorted(cells.pop(source)) == sorted(targets)
    assert cells == {}


def marked(cell: str) -> list[str]:
    """What is set in code type in a cell."""
    return re.findall(r'<span class="pre">(\w+)</span>', cell)


def test_every_page_is_reached_from_the_front(html: Path) -> None:
    front = (html / "index.html").read_text()
    pages = [
        path.relative_to(ROOT / "docs")
        for path in (ROOT / "docs").rglob("*.md")
        if "_build" not in path.parts
    ]
    assert len(pages) > 10
    missing = [
        page for page in pages if page.name != "index.md" and str(page.with_suffix(".html")) not in front
    ]
    assert missing == []
