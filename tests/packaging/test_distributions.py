"""The built wheel and sdist hold what a user needs, and the wheel finds it once installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from specflow.resources import TOP_LEVEL
from specflow.testing.postgres import PostgresServer, postgres

__all__ = ["postgres"]

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and an sdist, built without a network, from a copy of the tree: nothing is left in it."""
    work = tmp_path_factory.mktemp("build")
    tree = work / "tree"
    shutil.copytree(
        ROOT,
        tree,
        ignore=shutil.ignore_patterns(
            ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "_build", "*.db*"
        ),
    )
    # `build` makes the wheel from the sdist: a file missing from the sdist breaks the wheel here.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(work / "dist"), str(tree), cwd=work)
    (wheel,) = (work / "dist").glob("*.whl")
    (sdist,) = (work / "dist").glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="session")
def installed(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed into it, far from the repository."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    run(*pip, "--no-deps", "--no-compile", "--target", str(target), str(distributions[0]), cwd=target)
    return target


def tracked(folder: str) -> list[str]:
    """The files under a top-level folder that belong into a wheel."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in found
        if "__pycache__" not in path.parts and ".db" not in path.name
    )


def test_the_wheel_holds_the_package_its_licence_its_types_and_its_command(installed: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    info = installed / f"specflow-{version}.dist-info"
    assert (installed / "specflow" / "py.typed").is_file()
    assert "Apache License" in (info / "licenses" / "LICENSE").read_text()
    assert "specflow = specflow.cli:main" in (info / "entry_points.txt").read_text()
    metadata = (info / "METADATA").read_text()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata


def test_the_wheel_holds_nothing_but_specflow(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[0]) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"specflow"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db"))]


@pytest.mark.parametrize("folder", TOP_LEVEL)
def test_every_bundled_file_is_found_from_the_installed_wheel(installed: Path, folder: str) -> None:
    files = tracked(folder)
    assert files, f"{folder}/ has no file to bundle"
    script = (
        "import sys\n"
        "from specflow.resources import bundled\n"
        "for line in sys.stdin.read().split():\n"
        "    print(bundled(line))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input="\n".join(files),
        cwd=installed,
        # Comes before the editable install of the repository.
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = [Path(line) for line in done.stdout.splitlines()]
    assert len(found) == len(files)
    for relative, path in zip(files, found, strict=True):
        assert path.is_relative_to(installed.resolve())
        assert path.read_bytes() == (ROOT / relative).read_bytes()


def test_the_sdist_can_be_tested_and_built(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "Makefile",
        "requirements/dev.txt",
        "specflow/resources.py",
    }
    assert wanted <= names
    assert "tests/packaging/test_distributions.py" in names
    assert not [name for name in names if name.startswith((".venv", ".git/"))]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_the_installed_wheel_migrates_a_database_and_works_with_it(
    kind: str, installed: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Up, back to the first revision, up again, with rows in it; from the wheel and nothing else."""
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/journal.db"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_database()
    script = (
        "import asyncio, sys\n"
        "import specflow\n"
        "from specflow.journal.database import Database\n"
        "from specflow.journal.schema import downgrade, drift, upgrade\n"
        "from specflow.journal.sql import SqlJournal\n"
        "from specflow.journal.verify import verify\n"
        "url = sys.argv[1]\n"
        "database = Database(url)\n"
        "async def main():\n"
        "    journal = SqlJournal.open(url)\n"
        "    await journal.open_session('s', thread='t', owner='o')\n"
        "    await journal.aclose()\n"
        "    downgrade(database, '0001')\n"
        "    upgrade(database)\n"
        "    assert drift(database) == []\n"
        "    journal = SqlJournal.open(url)\n"
        "    rows = await journal.snapshot()\n"
        "    assert verify(rows) == () and [row.session_id for row in rows.sessions] == ['s']\n"
        "    await journal.aclose()\n"
        "upgrade(database)\n"
        "asyncio.run(main())\n"
        "print(specflow.__file__)\n"
    )
    said = run(sys.executable, "-c", script, url, cwd=tmp_path, PYTHONPATH=str(installed))
    assert Path(said.strip()).is_relative_to(installed.resolve())
