"""Each shield of a fork, and what leaks to the user without it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


def _load(name: str) -> Any:
    """A file beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trial_of = _load("fork_trial")
Trial = trial_of.Trial


def _ambient_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks inherit the config of the node they come from, and are given its callbacks."""
    from specflow.graph.fork import run

    monkeypatch.setattr(
        run,
        "_config",
        lambda origin: {**origin.config, "callbacks": origin.around[run_config]["callbacks"]},
    )


def _bound_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry graphs keep what `with_config` bound to the user's graph."""
    from specflow.graph.fork import attached, entry

    def with_config(graph: Any, node: str) -> Any:
        made = entry.entry_graph(graph, node)
        made.config = graph.config
        return made

    monkeypatch.setattr(attached, "entry_graph", with_config)


def _usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counters of `get_usage_metadata_callback` stay in the context of forks, and our model is heard."""
    import contextvars

    from specflow.graph.fork import run

    def only_config(around: contextvars.Context) -> contextvars.Context:
        made = around.copy()
        made.run(run_config.set, {"configurable": {}, "callbacks": []})
        return made

    monkeypatch.setattr(run, "shielded_context", only_config)


def _tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks run in an empty context."""
    import contextvars

    from specflow.graph.fork import run

    monkeypatch.setattr(run, "shielded_context", lambda _around: contextvars.Context())


def _thread_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks do not know whose they are."""
    import contextvars

    from specflow.graph.fork import run

    def nobody(around: contextvars.Context) -> contextvars.Context:
        made = around.copy()
        made.run(run_config.set, {"callbacks": []})
        return made

    monkeypatch.setattr(run, "shielded_context", nobody)
    monkeypatch.setattr(run, "_config", lambda _origin: {"callbacks": []})


def _store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forks have the user's store."""
    from specflow.graph.fork import run

    monkeypatch.setattr(run, "OverlayStore", lambda inner, _fork: inner)


def _effects(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an adopted tool did beside its result is forgotten."""
    from specflow.graph.fork import shadow_tool

    monkeypatch.setattr(shadow_tool, "result_of", lambda value, _log: value)


run_config = importlib.import_module("langchain_core.runnables.config").var_child_runnable_config

LEAKS = [
    (_ambient_callbacks, "heard", "rain"),
    (_bound_callbacks, "bound", "rain"),
    (_usage, "usage", "rain"),
    (_tenant, "who", "rain"),
    (_thread_and_user, "who", "rain"),
    (_store, "stored", "rain"),
    (_effects, "custom", "sunny in Rome"),
    (_effects, "stored", "sunny in Rome"),
    (_effects, "heard", "sunny in Rome"),
]


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: f"{leak[0].__name__.strip('_')}-{leak[1]}")
async def test_without_the_shield_the_user_sees_the_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leak: tuple[Any, str, str]
) -> None:
    take_away, what, guess = leak
    want = await Trial(specflow=False).run(tmp_path)
    with monkeypatch.context() as patched:
        take_away(patched)
        trial = Trial(guess=guess)
        leaky = await trial.run(tmp_path)
    assert trial.world.early
    assert visible(leaky, what) != visible(want, what), "this test would not notice"


async def test_without_the_shield_tracing_by_the_environment_goes_on_in_forks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    from langsmith.utils import tracing_is_enabled

    from specflow.graph.fork import run

    traced: dict[bool, set[bool]] = {}

    original = trial_of.World.note

    def note(world: Any, name: str) -> None:
        if trial_of.current_fork() is not None:
            with pytest.MonkeyPatch.context() as environment:
                environment.setattr("langsmith.utils.get_env_var", lambda *_args, **_more: "true")
                traced.setdefault(shielded, set()).add(bool(tracing_is_enabled()))
        original(world, name)

    monkeypatch.setattr(trial_of.World, "note", note)
    for shielded in (True, False):
        with monkeypatch.context() as patched:
            if not shielded:
                patched.setattr(run, "untraced", nullcontext)
            await Trial().run(tmp_path)
    assert traced == {True: {False}, False: {True}}


def visible(seen: Any, what: str) -> Any:
    """Of those who ran tools, what they saw counts, and not which tools ran."""
    return {who[1:] for who in seen.who} if what == "who" else getattr(seen, what)
