"""Files that travel with specflow: migrations, shipped policies, and the demo's example.

They live at the top of the repository, where people look for them. In a wheel they lie under
`specflow/_bundled`; an editable install reads them where they are.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from specflow.errors import ConfigurationError

TOP_LEVEL = ("policies", "migrations", "examples")
"""What is bundled; the same names stand under `force-include` in pyproject.toml."""

_PACKAGE = Path(__file__).resolve().parent


def bundled(relative: str) -> Path:
    """The absolute path of a bundled file or folder, such as `"policies/travel.yaml"`.

    `relative` is written with forward slashes and starts with one of `TOP_LEVEL`.

    Raises ConfigurationError when the path could lead elsewhere, or when nothing is there.
    """
    path = PurePosixPath(relative)
    if path.is_absolute() or "\\" in relative or ".." in path.parts or path.parts[:1] not in _firsts():
        raise ConfigurationError(
            f"{relative!r} is not the name of a bundled file",
            hint=f"write it relative, with forward slashes, starting with one of {', '.join(TOP_LEVEL)}",
            relative=relative,
        )
    roots = _roots(_PACKAGE)
    for root in roots:
        found = root.joinpath(*path.parts)
        if found.exists():
            return found
    raise ConfigurationError(
        f"specflow's bundled file {relative!r} is missing; looked in {' and '.join(map(str, roots))}",
        hint="the installation is incomplete: install specflow again, or check the name",
        relative=relative,
    )


def _firsts() -> set[tuple[str, ...]]:
    return {(name,) for name in TOP_LEVEL}


def _roots(package: Path) -> list[Path]:
    """Where bundled files may lie: inside the package (a wheel), or beside it (a repository)."""
    roots = [package / "_bundled"]
    # A folder named `examples` beside site-packages/specflow belongs to someone else: only a
    # repository, told by its pyproject.toml, is read beside the package.
    if (package.parent / "pyproject.toml").is_file():
        roots.append(package.parent)
    return roots
