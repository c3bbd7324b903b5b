"""What a chat model is called."""

from __future__ import annotations

NAMES = ("model_name", "model", "model_id")
"""The fields in which LangChain's chat models keep it."""

DEEPEST = 8


def name_of(model: object) -> str:
    """The name that its provider knows it by; empty where it says none. Wrapped models are looked into."""
    for _ in range(DEEPEST):
        for field in NAMES:
            value = _held(model, field)
            if isinstance(value, str) and value:
                return value
        model = _held(model, "bound")
        if model is None:
            break
    return ""


def _held(model: object, field: str) -> object:
    try:
        return getattr(model, field, None)
    except Exception:  # noqa: BLE001 - a configurable model makes the real one to answer, which may fail
        return None
