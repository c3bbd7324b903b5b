"""What of a call's arguments and results may leave the process: a keyed hash always, the text on request.

The text is exported only when `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` asks for it, and the
policy's redaction comes first. Anything doubtful is left out.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from specflow.effects.call import Call, canonical_json
from specflow.effects.redaction import HIDDEN, redacted
from specflow.telemetry import names

Redact = Sequence[str] | Callable[[str], Sequence[str]]
"""Paths such as `args.card.number`, or a function from a tool's name to its paths."""

LIMIT = 8192
"""Characters of exported text; what is longer is cut."""

_CAPTURING = frozenset({"true", "1", "yes", "on", "span_only", "span_and_event"})


class Content:
    """Turns a call into what its span may show.

    Args:
        redact: paths from the policy, or a function from a tool's name to its paths.
        capture: whether arguments and results are exported at all; None asks the environment.
        hash_key: key of the arguments' hash; None takes `SPECFLOW_HASH_KEY`, else one made for this
            process, so that hashes of different processes cannot be compared.
    """

    def __init__(
        self, redact: Redact = (), *, capture: bool | None = None, hash_key: bytes | None = None
    ) -> None:
        self._redact = redact
        if capture is None:
            capture = os.environ.get(names.ENV_CAPTURE, "").strip().lower() in _CAPTURING
        self.capture = capture
        if hash_key is None:
            hash_key = os.environ.get(names.ENV_HASH_KEY, "").encode() or secrets.token_bytes(32)
        self._key = hash_key

    def args_hash(self, call: Call) -> str:
        """32 hex digits that say whether two calls had the same arguments, and nothing else."""
        text = call.args_json.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:32]

    def arguments(self, call: Call) -> str | None:
        """The redacted arguments as JSON; None when they may not be shown."""
        return self._text("args", call.tool, call.plain_args) if self.capture else None

    def result(self, tool: str, value: object) -> str | None:
        """The redacted result as JSON; None when it may not be shown or is not plain JSON."""
        return self._text("result", tool, lambda: value) if self.capture else None

    def message(self, text: str) -> str | None:
        """An error's text, which may quote arguments; None unless content is captured unredacted."""
        if not self.capture or self._redact != ():
            return None
        # A lone surrogate cannot be encoded; in a status it would take the whole batch of spans with it.
        return text[:LIMIT].encode("utf-8", "replace").decode("utf-8")

    def _text(self, root: str, tool: str, read: Callable[[], object]) -> str | None:
        try:
            paths = self._redact(tool) if callable(self._redact) else self._redact
            value = redacted(root, read(), paths)
            text = HIDDEN if value == HIDDEN else canonical_json(value)
        except Exception:  # noqa: BLE001  a redaction that cannot be evaluated shows nothing
            return None
        return text if len(text) <= LIMIT else text[:LIMIT] + "..."


def error_type(error: str) -> str:
    """The class name at the head of an error's text, or `_OTHER`: few values, and no user data.

    >>> error_type("ToolTimeoutError: search did not answer")
    'ToolTimeoutError'
    """
    head = error.split(":", 1)[0].split("(", 1)[0].strip()
    # A word alone might be data; what Python calls exceptions starts with a capital.
    return head if re.fullmatch(r"([a-z_]\w*\.)*[A-Z]\w{2,63}", head, re.ASCII) else names.ERROR_OTHER


def seconds(facts: Mapping[str, Any], key: str) -> float | None:
    """The fact as seconds, or None when it is absent or no sensible duration."""
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # A year is a clock gone wrong; this also keeps NaN, infinities and giant integers out.
    return float(value) if 0 <= value < 31_536_000 else None
