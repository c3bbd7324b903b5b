"""Traits in blocks: what is the same for many calls is named, and looked up, once.

A key is the kind of a block and the few small numbers that its traits are made of. `traits_of` spells the
traits out, which is needed only when a key comes up for the first time. What tends to be the same for the
same calls is in one block: each block of a call costs a look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Key = tuple[Any, ...]
"""The kind of a block, and its fields."""


def traits_of(key: Key) -> list[str]:
    """The names of the traits in a block."""
    return _SPELLED[key[0]](*key[1:])


def _tool(  # noqa: PLR0917 - called with a key's tuple, by place
    chance: int, times: int, just: bool, unused: int, run: int, now: int, model: int, fu: bool
) -> list[str]:
    return [
        f"chance={chance}",
        f"times={times}",
        f"just={just}&unused={unused}",
        f"unused={unused}&times={times}",
        f"run={run}&unused={unused}",
        f"named={now}&fu={fu}",
        f"namedm={model}&fu={fu}",
    ]


def _other(pooled: int, *tool: Any) -> list[str]:
    return [*(f"{trait}&other" for trait in _tool(*tool)), f"other={pooled}"]


def _again(again: int, last: str, first: int, rank: int) -> list[str]:
    return ["call", f"rank={rank}", f"again={again}&e1={last}", f"first={first}&again={again}&e1={last}"]


def _heard(  # noqa: PLR0917 - called with a key's tuple, by place
    user: int,
    everywhere: int,
    model: int,
    newest: int,
    oldest: int,
    first: int,
    again: int,
    fu: bool,
    total: int,
    own: int,
    foreign: int,
    of: int,
) -> list[str]:
    return [
        f"again={again}&user={user}&fu={fu}",
        f"user={user}&fu={fu}&again={again}&first={first}",
        f"user={user}&all={everywhere}&model={model}",
        f"all={everywhere}&again={again}",
        f"ages={newest}{oldest}",
        f"total={total}&again={again}&first={first}",
        f"called={own}{foreign}&of={of}",
        f"called={own}{foreign}&user={user}&fu={fu}",
    ]


def _place(  # noqa: PLR0917 - called with a key's tuple, by place
    order: int,
    tail: int,
    after: bool,
    again: int,
    just: bool,
    ahead: int,
    run: int,
    seek: str,
    latest: bool,
) -> list[str]:
    return [
        f"order={order}&again={again}",
        f"tail={tail}&again={again}",
        f"next={after}&again={again}&just={just}",
        f"ahead={ahead}&run={run}",
        f"ahead={ahead}&next={after}",
        f"next={after}&run={run}",
        f"next={after}&seek={seek}&just={just}",
        f"again={again}&seek={seek}&just={just}",
        f"tail={tail}&latest={latest}&just={just}",
        f"order={order}&latest={latest}",
    ]


def _about(  # noqa: PLR0917 - called with a key's tuple, by place
    now: int, ever: int, model: int, title: int, said: int, order: int, again: bool, fu: bool
) -> list[str]:
    return [
        f"now={now}&ever={ever}",
        f"now={now}&again={again}&fu={fu}",
        f"ever={ever}&again={again}&fu={fu}",
        f"fitm={model}&fu={fu}",
        f"title={title}&again={again}",
        f"title={title}&said={said}&fu={fu}",
        f"said={said}&order={order}",
    ]


def _made(  # noqa: PLR0917 - called with a key's tuple, by place
    fresh: int, total: int, last: str, joined: int, used: int, of: int, only: bool
) -> list[str]:
    return [
        f"fresh={fresh}&of={total}",
        f"fresh={fresh}&e1={last}",
        f"joined={joined}&of={of}",
        f"used={used}&of={of}",
        f"only={only}",
    ]


def _via(*both: str) -> list[str]:
    """The names of the arguments, then their paths."""
    many = len(both) // 2
    return [f"via={name}<{path}" for name, path in zip(both[:many], both[many:], strict=True)]


def _changed(  # noqa: PLR0917 - called with a key's tuple, by place
    changed: int, just: bool, before: int, everywhere: int, left: int, again: int
) -> list[str]:
    return [
        f"changed={changed}&just={just}",
        f"before={before}&all={everywhere}&again={again}&just={just}",
        f"before={before}&all={everywhere}&left={left}&again={again}",
    ]


def _ago(ago: int, fu: bool, begun: bool, parallel: bool, again: int) -> list[str]:
    return [f"ago={ago}&fu={fu}", f"begun={begun}&fu={fu}", f"parallel={parallel}&again={again}"]


_SPELLED: dict[str, Callable[..., list[str]]] = {
    "reply": lambda chance: [f"chance={chance}"],
    "agent": lambda agent, last, other: [f"agent={agent}&e1={last}{other}"],
    "tool": _tool,
    "other": _other,
    "again": _again,
    "prior": lambda prior, gap: [f"prior={prior}", f"gap={gap}"],
    "heard": _heard,
    "place": _place,
    "about": _about,
    "made": _made,
    "via": _via,
    "turn": lambda turn, of, back, just: [f"turn={turn}&of={of}", f"turnback={back}&just={just}"],
    "changed": _changed,
    "alike": lambda alike, empty, again: [f"alike={alike}&empty={empty}&again={again}"],
    "ago": _ago,
    "nth": lambda nth, of, fu: [f"nth={nth}&of={of}&fu={fu}", f"nth={nth}&fu={fu}"],
}
