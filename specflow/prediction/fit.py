"""Whether guessed arguments make a call at all: they fit the tool's schema and are plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specflow.effects.call import Call, NotJsonError
from specflow.effects.tool import ToolSpec
from specflow.prediction.plain_schema import PlainSchema


def fitting_call(spec: ToolSpec, args: Mapping[str, Any], plain: PlainSchema | None = None) -> Call | None:
    """The call of `spec` with `args`, or None when they do not fit; never raises.

    What is not the model's to choose is left out, as it will be of the real call. `plain` is the tool's
    schema as far as it is plain: with it, most calls need no validator.
    """
    try:
        call = spec.call(args)
        if plain is not None and plain.surely_fits(call.args):
            return call
        return None if spec.problems(call.args) else call
    except NotJsonError:
        return None
    except Exception:  # noqa: BLE001 - a schema that cannot be evaluated (bad $ref, bad regex) permits no guess
        return None
