"""The process: versions against what specflow declares, notebooks, telemetry."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata

# Not declared by us: langchain-core has always depended on it.
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from specflow.graph.remark import Level, Remark
from specflow.telemetry.provided import provided

AREA = "environment"
PACKAGE = "specflow"


def of_environment() -> Iterator[Remark]:
    """All of it."""
    yield from versions()
    yield from notebook()
    yield telemetry()


def versions() -> Iterator[Remark]:
    """Python and every package that specflow names, installed or missing."""
    try:
        about = metadata.metadata(PACKAGE)
        named = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        yield Remark(
            area=AREA,
            subject=PACKAGE,
            level=Level.WARNING,
            found="it is not installed as a package, so its requirements are not known",
            mend="pip install specflow",
        )
        return
    python, wanted = platform.python_version(), about["Requires-Python"] or ""
    fits = SpecifierSet(wanted).contains(python, prereleases=True)
    yield Remark(
        area=AREA,
        subject=f"Python {python}",
        level=Level.OK if fits else Level.PROBLEM,
        found=f"specflow {metadata.version(PACKAGE)} needs {wanted or 'any'}",
        mend="" if fits else f"use Python {wanted}",
    )
    good = 0
    for text in named:
        counts, remark = _package(text)
        good += counts and remark is None
        if remark is not None:
            yield remark
    yield Remark(area=AREA, subject="packages", found=f"{good} installed as specflow needs them")


def _package(text: str) -> tuple[bool, Remark | None]:
    """Whether it is needed here, and what is wrong with it."""
    try:
        needed = Requirement(text)
    except InvalidRequirement:
        return False, None
    optional = "extra" in str(needed.marker or "")
    if needed.marker is not None and not optional and not needed.marker.evaluate():
        return False, None
    try:
        there = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        return not optional, None if optional else _wrong(needed, "is not installed", Level.PROBLEM)
    if needed.specifier.contains(there, prereleases=True):
        return not optional, None
    return True, _wrong(needed, f"{there} is installed", Level.WARNING if optional else Level.PROBLEM)


def _wrong(needed: Requirement, found: str, level: Level) -> Remark:
    wanted = f"{needed.name}{needed.specifier}"
    return Remark(
        area=AREA,
        subject=needed.name,
        level=level,
        found=f"{found}; specflow needs {needed.specifier or 'any version'}",
        mend=f"pip install '{wanted}'",
    )


def notebook() -> Iterator[Remark]:
    """Jupyter has a running loop, in which synchronous runs surprise."""
    kernel = "ipykernel" in sys.modules or bool(os.environ.get("JPY_PARENT_PID"))
    if kernel:
        yield Remark(
            area=AREA,
            subject="notebook",
            level=Level.WARNING,
            found="an event loop runs already: asyncio.run fails in a cell, and invoke blocks the loop",
            mend="await graph.ainvoke(...), and await rt.aclose() at the end",
        )
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    yield Remark(area=AREA, subject="event loop", found="one runs already: use ainvoke and aclose")


def telemetry() -> Remark:
    """Whether anybody exports spans and metrics."""
    seen = provided()
    if seen.disabled:
        return Remark(area=AREA, subject="telemetry", found="switched off by OTEL_SDK_DISABLED")
    if seen.traces:
        beside = f", metrics to {seen.metrics}" if seen.metrics else ", metrics to nobody"
        return Remark(area=AREA, subject="telemetry", found=f"spans go to {seen.traces}{beside}")
    if seen.endpoints:
        first = "" if seen.exporter else "pip install 'specflow[otlp]', then "
        return Remark(
            area=AREA,
            subject="telemetry",
            level=Level.WARNING,
            found=f"{', '.join(seen.endpoints)} is set, but no provider: nothing is exported",
            mend=f"{first}specflow.telemetry.auto() at the start of the program",
        )
    return Remark(area=AREA, subject="telemetry", found="no provider: nobody sees the spans")
