"""What a policy reads as `result`, where a tool returns more than that.

Some tools return two things, content for the model and an artifact beside it. What such a call returned is
kept whole, as plain JSON that the journal can give back; a policy reads the part of it that is data.
"""

from __future__ import annotations

from typing import Any

_SEEN = "specflow.result"
_CONTENT = "content"
_ARTIFACT = "artifact"
_KEYS = frozenset({_SEEN, _CONTENT, _ARTIFACT})


def pair(content: Any, artifact: Any, seen: Any) -> dict[str, Any]:
    """Both things that a tool returned, in one; `seen` is what a policy reads of them."""
    return {_SEEN: seen, _CONTENT: content, _ARTIFACT: artifact}


def is_pair(value: Any) -> bool:
    """Whether `pair` made it, also after a way through JSON."""
    return isinstance(value, dict) and value.keys() == _KEYS


def parts(value: dict[str, Any]) -> tuple[Any, Any]:
    """Content and artifact of a pair."""
    return value[_CONTENT], value[_ARTIFACT]


def seen(value: Any) -> Any:
    """What a policy reads of what a tool returned: of a pair its data, else all of it."""
    return value[_SEEN] if is_pair(value) else value
