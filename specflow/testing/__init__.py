"""The instruments of proof, and public fakes that pass the same suites as the real parts.

Imported by name, so that nothing is loaded that is not used:

    model_server, chat_model        a model over HTTP, or without it, that says what a script tells it
    recording_tools, ledger_world   tools that keep a log and a little world
    settings_world                  a little world that is overwritten, and undone by writing back
    guest_world                     a little world in which bookings are amended
    scripted_core, static_judge     the real core without LangGraph, a policy without YAML
    seeded_loop, explore            an event loop with virtual time; thousands of schedules
    manual_clock, sequencer         time by hand; steps in a given order
    faults, cancellation            errors, delays, hangs; cancellation at every await
    mcp_server                      an MCP server in a process of its own, with honest tools and others
    black_hole                      a TCP proxy that swallows everything and closes nothing
    takeover, doomed_agent          a real process to kill, and a real supervisor that undoes what it did
    crash, crash_matrix             real SIGKILL at every named point, and at every point of the recovery
    proof, inline_journal           checks that undo is right; the SQL journal on a seeded loop
    lossless                        generated agents played with and without speculation, and compared
    journal_contract, postgres      one suite for every journal; a private PostgreSQL server
    otlp_receiver                   a real OTLP receiver for traces and metrics
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specflow.testing.black_hole import BlackHole
    from specflow.testing.cancellation import cancel_everywhere
    from specflow.testing.chat_model import ScriptedChatModel
    from specflow.testing.crash import CrashScenario, CrashServer
    from specflow.testing.faults import Faults
    from specflow.testing.guest_world import GuestWorld
    from specflow.testing.ledger_world import LedgerWorld
    from specflow.testing.manual_clock import ManualClock
    from specflow.testing.model_server import ModelServer
    from specflow.testing.otlp_receiver import OtlpReceiver
    from specflow.testing.recording_tools import RecordingTools
    from specflow.testing.scripted_core import EventLog, ScriptedCore
    from specflow.testing.seeded_loop import SeededLoop
    from specflow.testing.sequencer import Sequencer, ThreadSequencer
    from specflow.testing.settings_world import SettingsWorld
    from specflow.testing.static_judge import StaticJudge

__all__ = [
    "BlackHole",
    "CrashScenario",
    "CrashServer",
    "EventLog",
    "Faults",
    "GuestWorld",
    "LedgerWorld",
    "ManualClock",
    "ModelServer",
    "OtlpReceiver",
    "RecordingTools",
    "ScriptedChatModel",
    "ScriptedCore",
    "SeededLoop",
    "Sequencer",
    "SettingsWorld",
    "StaticJudge",
    "ThreadSequencer",
    "cancel_everywhere",
]

_HOME = {
    "BlackHole": "black_hole",
    "CrashScenario": "crash",
    "CrashServer": "crash",
    "EventLog": "scripted_core",
    "Faults": "faults",
    "GuestWorld": "guest_world",
    "LedgerWorld": "ledger_world",
    "ManualClock": "manual_clock",
    "ModelServer": "model_server",
    "OtlpReceiver": "otlp_receiver",
    "RecordingTools": "recording_tools",
    "ScriptedChatModel": "chat_model",
    "ScriptedCore": "scripted_core",
    "SeededLoop": "seeded_loop",
    "Sequencer": "sequencer",
    "SettingsWorld": "settings_world",
    "StaticJudge": "static_judge",
    "ThreadSequencer": "sequencer",
    "cancel_everywhere": "cancellation",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        module = import_module(f"specflow.testing.{_HOME[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'specflow.testing' has no attribute {name!r}")
