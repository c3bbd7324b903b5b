"""What one step takes from another: a value that is known only when the workflow runs.

`ask.origin`, `flow.state.passenger`, `search[0].price`, `choose.price > 0`, `(a.x > 1) & ~b.done`.
A reference has no methods of its own that a field could be mistaken for: the functions here read it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from specflow.graph.workflow.expression import Applied, FirstOf, Literal, Node, Part
from specflow.graph.workflow.shape import Shape, shape_of_value

STATE = "state"
"""Where the fields of the workflow's own state are found among the values that are known."""

EACH = "each"
"""Where the item of a map step is found."""


class Reference:
    """A value to be known later. Comparing, indexing and `& | ~` make further references."""

    __slots__ = ("_sf",)
    _sf: Node

    def __init__(self, node: Node) -> None:
        object.__setattr__(self, "_sf", node)

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # copy, pickle and inspect look for these
        node = node_of(self)
        found = node.shape.field(name)
        if found is None:
            near = node.shape.near(name)
            hint = f"; did you mean {near!r}?" if near else ""
            raise AttributeError(f"{node.text} ({node.shape}) has no field {name!r}{hint}")
        return Reference(Part(of=node, key=name, shape=found))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{node_of(self).text}.{name} is a reference, and cannot be set")

    def __getitem__(self, key: str | int) -> Reference:
        node = node_of(self)
        found = node.shape.field(key) if isinstance(key, str) else node.shape.item()
        if found is None:
            raise KeyError(f"{node.text} ({node.shape}) has no {key!r}")
        return Reference(Part(of=node, key=key, shape=found))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{node_of(self).text} is known only when the workflow runs: use flow.map over it")

    def __bool__(self) -> bool:
        raise TypeError(
            f"{node_of(self).text} is known only when the workflow runs: "
            "use & | ~ instead of and, or, not; and when= instead of if"
        )

    def __eq__(self, other: object) -> Any:
        return _compared("==", operator.eq, self, other)

    def __ne__(self, other: object) -> Any:
        return _compared("!=", operator.ne, self, other)

    def __lt__(self, other: object) -> Reference:
        return _compared("<", operator.lt, self, other)

    def __le__(self, other: object) -> Reference:
        return _compared("<=", operator.le, self, other)

    def __gt__(self, other: object) -> Reference:
        return _compared(">", operator.gt, self, other)

    def __ge__(self, other: object) -> Reference:
        return _compared(">=", operator.ge, self, other)

    def __and__(self, other: object) -> Reference:
        return _compared("and", lambda one, two: bool(one) and bool(two), self, other)

    def __or__(self, other: object) -> Reference:
        return _compared("or", lambda one, two: bool(one) or bool(two), self, other)

    def __invert__(self) -> Reference:
        node = node_of(self)
        return Reference(Applied(word="not", apply=operator.not_, of=(node,), shape=_TRUTH))

    __hash__ = object.__hash__

    def __copy__(self) -> Reference:
        return self

    def __deepcopy__(self, memo: object) -> Reference:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(f"{node_of(self).text} is a reference, and cannot be pickled")

    def __repr__(self) -> str:
        return f"<reference to {node_of(self).text}>"


_TRUTH = Shape({"type": "boolean"})


def node_of(reference: Reference) -> Node:
    """What a reference refers to."""
    node: Node = object.__getattribute__(reference, "_sf")
    return node


def either(*options: Any) -> Reference:
    """The first of `options` whose step was not skipped; the last one may be a plain value."""
    if not options:
        raise TypeError("either() needs at least one option")
    nodes = tuple(_node(option) for option in options)
    return Reference(FirstOf(of=nodes, shape=nodes[0].shape))


def needs(value: Any) -> frozenset[str]:
    """The names of everything that `value`, a reference or a structure of them, takes from."""
    if isinstance(value, Reference):
        return node_of(value).roots()
    return frozenset().union(*(needs(item) for item in _items(value)))


def resolve(value: Any, known: Mapping[str, Any]) -> Any:
    """`value` with every reference replaced by what is known.

    Raises:
        SkippedError: a step that it takes from did not run.
        NotThereError: what it takes is not there.
    """
    if isinstance(value, Reference):
        return node_of(value).value(known)
    if isinstance(value, Mapping):
        return {key: resolve(item, known) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, known) for item in value]
    return value


def shape_of(value: Any) -> Shape:
    """What is known of the value of a reference, or of a literal."""
    return node_of(value).shape if isinstance(value, Reference) else shape_of_value(value)


def text_of(value: Any) -> str:
    """How a reference was written; a literal as Python writes it."""
    return node_of(value).text if isinstance(value, Reference) else repr(value)


def _node(value: Any) -> Node:
    return node_of(value) if isinstance(value, Reference) else Literal(literal=value)


def _compared(word: str, apply: Callable[..., Any], one: Reference, other: object) -> Reference:
    return Reference(Applied(word=word, apply=apply, of=(_node(one), _node(other)), shape=_TRUTH))


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []
