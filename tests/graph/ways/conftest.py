"""The modules beside this file under their own names: tests are no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

for _name in (
    "ways_seen",
    "ways_story",
    "ways_forms",
    "ways_flow",
    "ways_of_running",
    "ways_savers",
    "ways_trial",
):
    # In this order: each may import those before it.
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).with_name(f"{_name}.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_name])
