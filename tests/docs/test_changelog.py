"""Changelog fragments have a known category, and safety comes first."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_fragments_make_a_changelog_with_safety_first() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    kinds = [kind["directory"] for kind in settings["type"]]
    assert kinds == ["safety", "feature", "fix", "docs", "misc"]
    fragments = [path for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md"]
    assert {path.name.split(".")[-2] for path in fragments} <= set(kinds)
    # A draft with no fragment is what follows a release.
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    for fragment in fragments:
        assert fragment.read_text().strip() in done.stdout
