"""What a tool's parameters say: programs to run, operations to choose, places to put something."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from specflow.policy.suggest import lexicon
from specflow.policy.suggest.evidence import Artefact, Evidence, Says, Trap
from specflow.policy.suggest.words import Form, split_name, verb

MAX_PARAMETERS = 200
_LANGUAGE = re.compile(r"\b(sql|cypher|graphql|sparql|mongo|database query|ddl|dml)\b", re.I)
_RUNS = re.compile(
    r"\b(execut\w*|run|runs|python|javascript|script|source code|snippet|program|shell)\b", re.I
)
_ALWAYS = frozenset(
    {"command", "commands", "cmd", "shell", "sql", "bash", "ddl", "dml", "mutation", "script"}
)
_MAYBE_CHOICE = frozenset({"method", "mode", "type"})
_PRIVATE = re.compile(r"(^|_)(url|uri|host|hostname|endpoint|email|e_mail|path|file|filename|directory)s?$")
_ORDERS = frozenset({"set", "put", "update", "patch", "post", "clear"})
_CODE_BY_OTHER_NAMES = frozenset({"function", "expression", "callback", "lambda", "page_function"})
_PROGRAMMING = re.compile(r"=>|\b(javascript|typescript|js|python|lua|ruby|perl|lisp|eval)\b", re.I)
_PLACES = frozenset(
    {"path", "file", "filename", "filepath", "directory", "dir", "folder", "url", "uri", "location"}
)
_PUTS = re.compile(
    r"\b(sav(e|es|ed|ing)|writ(e|es|ten|ing)|stor(e|es|ed|ing)|exports?|uploads?) .{0,80}\b(to|in|into|at)\b"
    r"|\bto (save|write|store|export|upload)\b",
    re.I | re.S,
)
FLAGS = frozenset(
    {"dry_run", "dryrun", "force", "commit", "overwrite", "recursive", "persist", "save", "apply"}
)


def evidence(properties: Mapping[str, Mapping[str, Any]], description: str) -> list[Evidence]:
    """Statements that veto, and notes. Parameters never speak for a read: `delete(id)` has a read's shape."""
    found: list[Evidence] = []
    if len(properties) > MAX_PARAMETERS:
        found.append(_said(Says.UNSURE, f"more than {MAX_PARAMETERS} parameters: not read to the end"))
    for name, schema in list(properties.items())[:MAX_PARAMETERS]:
        about = schema.get("description")
        told = f"{description[:2000]}\n{about[:2000] if isinstance(about, str) else ''}"
        found.extend(_of(name, schema, told))
    return found


def _of(name: str, schema: Mapping[str, Any], told: str) -> Iterator[Evidence]:
    words = split_name(name)
    plain = "_".join(words)
    if _carries_a_program(plain, told):
        yield _said(Says.UNSURE, f"{name!r} carries a program: the effect is in it", Trap.ARGUMENT_DEPENDENT)
    elif chosen := _choice(plain, schema):
        yield _said(Says.UNSURE, f"{name!r} {chosen}", Trap.ARGUMENT_DEPENDENT)
    elif plain in lexicon.SINKS or _says_sink(words, schema.get("description")):
        yield _said(Says.WRITE, f"{name!r} says where something is put")
    elif plain in FLAGS or (_boolean(schema) and _orders(words)):
        yield _said(Says.UNSURE, f"{name!r} switches an effect on or off", Trap.ARGUMENT_DEPENDENT)
    elif words[:1] == ["new"] and len(words) > 1:
        yield _said(Says.WRITE, f"{name!r} is the value that something gets")
    elif plain in lexicon.PAYLOADS:
        yield _said(Says.NOTE, f"{name!r} carries content")
    if _PRIVATE.search(plain):
        yield _said(Says.NOTE, f"an early call shows {name!r} to whom it contacts: say `destinations`")


def _says_sink(words: list[str], told: object) -> bool:
    """Whether its own description says that something is put there; only of what could name a place."""
    return bool(_PLACES & set(words)) and isinstance(told, str) and bool(_PUTS.search(told[:2000]))


def _carries_a_program(name: str, told: str) -> bool:
    if name in _ALWAYS:
        return True
    if name in _CODE_BY_OTHER_NAMES:
        return bool(_PROGRAMMING.search(told))
    if name in {"query", "q", "statement", "statements", "stmt"}:
        return bool(_LANGUAGE.search(told))
    return name in lexicon.EXECUTES and bool(_RUNS.search(told))


def _choice(name: str, schema: Mapping[str, Any]) -> str:
    """How this parameter chooses among operations, if it does."""
    options = [option for option in _options(schema) if isinstance(option, str)]
    writes = [option for option in options if _orders(split_name(option))]
    if writes and (name in lexicon.CHOOSES or name in _MAYBE_CHOICE or len(writes) > 1):
        return f"may be {writes[0]!r}"
    if name in lexicon.CHOOSES - _MAYBE_CHOICE and not options:
        return "chooses what is done"
    return ""


def _options(schema: Mapping[str, Any]) -> list[Any]:
    found = schema.get("enum")
    options = list(found[:200]) if isinstance(found, list) else []
    if "const" in schema:
        options.append(schema["const"])
    for branch in ("anyOf", "oneOf"):
        parts = schema.get(branch)
        for part in parts[:50] if isinstance(parts, list) else ():
            inner = part.get("enum") if isinstance(part, Mapping) else None
            options.extend(inner[:200] if isinstance(inner, list) else ())
    return options


def _orders(words: list[str]) -> bool:
    """Whether these words give an order to change something: `delete`, `mark_as_read`, not `deleted`."""
    known = verb(words[0]) if words else None
    if known is None or known.form is not Form.BASE:
        return False
    if known.base in lexicon.NOUN_OR_VERB:
        after = words[1] if len(words) > 1 else ""
        return known.base in _ORDERS or (bool(after) and after not in lexicon.STATE_NOUNS)
    return known.base in lexicon.WRITE


def _boolean(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "boolean"


def _said(says: Says, text: str, trap: Trap | None = None) -> Evidence:
    return Evidence(artefact=Artefact.PARAMETERS, says=says, text=text, trap=trap)
