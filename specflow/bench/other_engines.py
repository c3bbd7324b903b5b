"""The same twenty conditions in other policy engines: Cedar (`cedarpy`) and CEL in Python (`cel-python`).

Both are only needed here, and neither does the whole job: Cedar skips a rule that cannot be evaluated, and
cel-python evaluates conditions without merging them into a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

NUMBERS = range(100, 120)
ARGS: Mapping[str, Any] = {"order_id": "A-10432", "amount": 12, "reason": "late"}


def cedar() -> Callable[[], object]:
    """One authorization by Cedar, its policies parsed beforehand.

    Raises:
        ImportError: when `cedarpy` is not installed.
    """
    library: Any = import_module("cedarpy")
    conditions = [
        template.format(number)
        for number, template in zip(
            NUMBERS,
            [
                "context.args.amount > {0}",
                'context.args.reason == "r{0}"',
                'context.tenant == "t{0}"',
                "context.args.amount < -{0}",
            ]
            * 5,
            strict=True,
        )
    ]
    permit = "permit(principal, action, resource);"
    forbid = [f"forbid(principal, action, resource) when {{ {condition} }};" for condition in conditions]
    policies = library.PolicySet.from_str("\n".join([permit, *forbid]))
    request = {
        "principal": 'User::"clerk"',
        "action": 'Action::"early"',
        "resource": 'Tool::"ruled"',
        "context": {"args": dict(ARGS), "tenant": "shop"},
    }

    def decide() -> object:
        return library.is_authorized(request, policies, [])

    if not decide().allowed:  # type: ignore[attr-defined] # the library has no types
        raise AssertionError("Cedar denies what no rule forbids")
    return decide


def cel_python() -> Callable[[], object]:
    """The twenty conditions by cel-python, compiled beforehand.

    Raises:
        ImportError: when `cel-python` is not installed.
    """
    library: Any = import_module("celpy")
    environment = library.Environment()
    conditions = [
        "args.amount > {0}",
        'args.reason == "r{0}"',
        'context.tenant == "t{0}"',
        "args.amount < -{0}",
    ] * 5
    programs = [
        environment.program(environment.compile(condition.format(number)))
        for number, condition in zip(NUMBERS, conditions, strict=True)
    ]
    names = {"args": library.json_to_cel(dict(ARGS)), "context": library.json_to_cel({"tenant": "shop"})}

    def decide() -> object:
        return [program.evaluate(names) for program in programs]

    if any(decide()):  # type: ignore[arg-type] # the library has no types
        raise AssertionError("cel-python finds a condition true that is not")
    return decide
