"""Writes the pinned, hashed requirement files from pyproject.toml: run it as `make requirements`.

dev.txt      everything `make test` and `make check` need, at its newest
demo.txt     what specflow itself needs, in the same versions as dev.txt
lowest.txt   the same tools, but what specflow itself needs at the lowest versions it declares

No file names an index or a folder: what is written here installs from any mirror.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
RUNTIME_EXTRAS = ("postgres", "otlp", "mcp", "crypto")
HEADER = "# Written by `make requirements`; change pyproject.toml, not this file.\n"


def resolve(output: Path, *options: str, hashes: bool = True) -> None:
    """Resolve pyproject.toml for every platform and every Python it supports into `output`."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
    ]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--no-strip-extras"]
    command += ["--generate-hashes"] if hashes else []
    command += [*options, "pyproject.toml", "requirements/build.in", "--output-file", str(output)]
    if subprocess.run(command, cwd=PROJECT, check=False).returncode:  # noqa: S603 - the words are ours
        sys.exit(f"could not resolve {output.name}: see uv's message above")
    output.write_text(HEADER + pinned_both_ways(output.read_text()))


def pinned_both_ways(text: str) -> str:
    """`name[extra]==1` also as `name==1`: to older pips these are two things, and where only one of them is
    pinned they take the newest release of the other, and then refuse it for having no hash.
    """
    blocks = re.findall(r"^[^\s#][^\n]*(?:\n[ \t][^\n]*)*\n?", text, flags=re.MULTILINE)
    written: list[str] = []
    for block in blocks:
        bare = re.sub(r"^([A-Za-z0-9._-]+)\[[^\]]*\]", r"\1", block)
        written += [block] if bare == block else [bare, block]
    return "".join(written)


def direct_names() -> set[str]:
    """The normalised names that specflow itself asks for, extras for running it included."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in RUNTIME_EXTRAS:
        wanted += project["optional-dependencies"][extra]
    names = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in wanted)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name}


def main() -> None:
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    resolve(HERE / "dev.txt", "--extra", "dev", *upgrade)
    resolve(HERE / "demo.txt", "--constraint", "requirements/dev.txt", *upgrade)
    with tempfile.TemporaryDirectory() as folder:
        lowest = Path(folder) / "lowest.txt"
        extras = [option for extra in RUNTIME_EXTRAS for option in ("--extra", extra)]
        resolve(lowest, "--resolution", "lowest-direct", *extras, hashes=False)
        # Only what specflow declares is held down; the rest, test tools included, stays new.
        names = direct_names()
        held = [line for line in lowest.read_text().splitlines() if re.split(r"\[|==", line)[0] in names]
        lowest.write_text("\n".join(held) + "\n")
        resolve(HERE / "lowest.txt", "--extra", "dev", "--constraint", str(lowest), "--upgrade")


if __name__ == "__main__":
    main()
