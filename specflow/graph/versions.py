"""Which versions of LangGraph and LangChain specflow was seen to work with; what to say of another one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from specflow.errors import ConfigurationError

SEEN = {
    "langgraph": ("1.2.20", "1.2.24"),
    "langgraph-prebuilt": ("1.1.1", "1.1.3"),
    "langchain": ("1.4.6", "1.5.2"),
    "langchain-core": ("1.7.0", "1.8.3"),
    "langchain-openai": ("1.1.0", "1.7.4"),
}
"""The lowest and the newest with which the tests of specflow's graphs were run."""

_HOMES = {
    "langgraph.prebuilt": "langgraph-prebuilt",
    "langgraph": "langgraph",
    "langchain_core": "langchain-core",
    "langchain_openai": "langchain-openai",
    "langchain": "langchain",
    "langsmith": "langsmith",
}


def unusable(error: ImportError) -> ConfigurationError:
    """What to raise where a name that specflow needs is not there: which package, which versions have it."""
    home = next((at for at in _HOMES if f"{error.name}.".startswith(f"{at}.")), "")
    package = _HOMES.get(home, "")
    allowed = _allowed(package)
    told = f"{package} {_installed(package)}" if package else "what is installed"
    seen = SEEN.get(package)
    hint = (
        f"pip install '{package}{allowed}'" if package else "install specflow anew, with what it depends on"
    )
    if seen:
        hint += f"; specflow was tested with {package} {seen[0]} to {seen[1]}"
    return ConfigurationError(f"specflow cannot work with {told}: {error}", hint=hint, package=package)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _allowed(package: str) -> str:
    try:
        wanted = [Requirement(text) for text in requires("specflow") or ()]
    except PackageNotFoundError:
        return ""  # run from a folder, not installed
    return next((str(one.specifier) for one in wanted if one.name == package), "")
