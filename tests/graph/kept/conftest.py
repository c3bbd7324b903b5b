"""The modules beside this file under their own names: tests are no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from specflow.speculation.shelf import Shelf
from specflow.testing.postgres import postgres

for _name in ("kept_shop", "kept_agents"):
    # In this order: each may import those before it.
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_name] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

__all__ = ["postgres"]


@pytest.fixture(autouse=True)
def shelf_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test left open in this process, by design no early read is trusted beside."""
    monkeypatch.setattr("specflow.runtime._SHELF_OF_THE_PROCESS", Shelf())
