"""What can be seen of a run, as plain data that two runs can be compared by.

Only what no two runs share is taken out: ids are numbered in the order in which they first appear (so that
the same id in two places still has to be the same), times and random parts of versions are dropped.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Send
from pydantic import BaseModel

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
NUMBERED = re.compile(r"<\d+>")
VERSION = re.compile(r"^(\d{32})\.[\d.e+-]+$")  # counted, and a random number behind the point
WHOLE_MESSAGE = re.compile(r"^(lc_run--.*)-0$")
TIMES = {"ts", "created_at", "timestamp"}
OWN = {
    "specflow_step",  # which kind of step a workflow's node is, in the metadata of the node
    "description",  # what a person is told about the call: specflow adds why it asks
}


class Names:
    """Numbers for ids, for one run."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, text: str) -> str:
        return ID.sub(lambda found: f"<{self._known.setdefault(found[0], len(self._known))}>", text)


def plain(value: Any) -> Any:
    """Nested dictionaries, lists and scalars. What is none of these is named by its type."""
    fields = _fields(value)
    if fields is not None:
        return {"class": type(value).__name__, **plain(fields)}
    if isinstance(value, Mapping):
        return {
            str(name): "(time)" if name in TIMES else plain(item)
            for name, item in value.items()
            if name not in OWN
        }
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, str):
        version = VERSION.match(value)
        return str(int(version[1])) if version else value
    return value if isinstance(value, int | float | None) else f"({type(value).__name__})"


def _fields(value: Any) -> dict[str, Any] | None:
    """What an object consists of; None for what is no object with fields."""
    if isinstance(value, BaseMessage):
        # LangGraph gives an id, in place, to a message without: whoever looks may do so before or after.
        given = value.id is None or ID.fullmatch(value.id)
        return {**value.model_dump(), **({"id": "(given)"} if given else {})}
    found: dict[str, Any] | None = None
    if isinstance(value, BaseModel):
        found = value.model_dump()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "_asdict"):
        found = value._asdict()
    elif isinstance(value, Send):
        found = {"node": value.node, "arg": value.arg}
    elif isinstance(value, BaseException):
        found = {"said": str(value)}
    return found


def numbered(value: Any, names: Names) -> Any:
    """The same with ids replaced by their numbers."""
    if isinstance(value, dict):
        return {names.of(name): numbered(item, names) for name, item in value.items()}
    if isinstance(value, list):
        return [numbered(item, names) for item in value]
    if isinstance(value, str):
        return names.of(value)
    return value


def as_if_streamed(value: Any) -> Any:
    """What LangChain makes of the whole answer of a model, in the form it makes of a streamed one.

    specflow makes models stream. Where nobody else does, a message is joined of chunks which otherwise would
    have come in one piece: its blocks have numbers, no text is no text, and its id has no number of a choice.
    """
    if isinstance(value, dict):
        shown = {name: as_if_streamed(item) for name, item in value.items()}
        if isinstance(shown.get("content"), list) and "response_metadata" in shown:
            shown["content"] = [
                {name: item for name, item in block.items() if name != "index"} for block in shown["content"]
            ] or ""
        return shown
    if isinstance(value, list):
        return [as_if_streamed(item) for item in value]
    if isinstance(value, str):
        whole = WHOLE_MESSAGE.match(value)
        return whole[1] if whole else value
    return value


def masked(value: Any) -> str:
    """A text by which things can be sorted that have no order of their own, whatever their ids are."""
    return NUMBERED.sub("", ID.sub("", json.dumps(value, default=repr)))


def checkpoints(saved: Iterable[Any]) -> list[Any]:
    """Every checkpoint of a thread: values, versions, metadata, parent and pending writes."""
    shown = []
    for one in saved:
        writes = [
            {"task": task, "channel": channel, "value": plain(value)}
            for task, channel, value in one.pending_writes or ()
        ]
        shown.append(
            {
                "config": plain(one.config),
                "checkpoint": plain(one.checkpoint),
                "metadata": plain(one.metadata),
                "parent": plain(one.parent_config),
                # Databases give them back in the order of the ids of their tasks, which are random.
                "writes": sorted(writes, key=masked),
            }
        )
    return shown


def differences(one: Any, two: Any, at: str = "") -> list[str]:
    """Where two such values differ, a line each."""
    if isinstance(one, dict) and isinstance(two, dict):
        found = []
        for name in [*one, *(name for name in two if name not in one)]:
            where = f"{at}.{name}" if at else name
            if name not in one or name not in two:
                which = "only with" if name not in one else "only without"
                found.append(f"{where}: {which} specflow: {short(one.get(name, two.get(name)))}")
            else:
                found += differences(one[name], two[name], where)
        return found
    if isinstance(one, list) and isinstance(two, list):
        found = [f"{at}: {len(one)} without specflow, {len(two)} with"] if len(one) != len(two) else []
        for number, (left, right) in enumerate(zip(one, two, strict=False)):
            found += differences(left, right, f"{at}[{number}]")
        return found
    same = type(one) is type(two) and one == two
    return [] if same else [f"{at}: {short(one)} without specflow, {short(two)} with"]


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
