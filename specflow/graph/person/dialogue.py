"""A question put to a person at a terminal, line by line, until the answer fits."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from specflow.graph.person.question import Question
from specflow.terminal import readable

Talk = Generator[str, str, Any]
"""Yields what to write before the next line is read, is sent that line, and returns the answer."""

_LETTERS = {"y": "approve", "n": "reject", "e": "edit", "r": "respond"}
_WORDS = {"yes": "y", "approve": "y", "no": "n", "reject": "n", "edit": "e", "respond": "r"}
_SHOWN = {"approve": "y: yes", "reject": "n: no", "edit": "e: edit", "respond": "r: answer it yourself"}
_MOST = 4_000
"""Characters of arguments, or of anything else that is shown."""


def talk(question: Question) -> Talk:
    """Ask until the answer fits; an empty line decides nothing."""
    head = _head(question)
    while True:
        if question.tool:
            answer, problem = yield from _decide(question, head)
        else:
            answer, problem = yield from _say(question, head)
        problems = (problem,) if problem else question.problems(answer)
        if not problems:
            return answer
        head = "".join(f"  {readable(line)}\n" for line in problems)


def _head(question: Question) -> str:
    shown = question.args if question.tool else question.show
    lines = [readable(question.text, lines=True)]
    if shown is not None:
        text = json.dumps(shown, indent=2, ensure_ascii=False, default=str)
        cut = f"\n... ({len(text) - _MOST} more characters)" if len(text) > _MOST else ""
        lines.append(readable(f"{question.tool} {text[:_MOST]}{cut}".strip(), lines=True))
    return "\n".join(lines) + "\n"


def _decide(question: Question, head: str) -> Generator[str, str, tuple[Any, str]]:
    """A decision about a call, or why what was typed is none."""
    choice = ", ".join(shown for name, shown in _SHOWN.items() if name in question.decisions)
    typed = (yield f"{head}[{choice}] ").strip()
    word, _, rest = typed.partition(" ")
    letter = _WORDS.get(word.lower(), word.lower())
    decision, rest = _LETTERS.get(letter, ""), rest.strip()
    if decision not in question.decisions:
        return None, "begin with one of the letters"
    if decision == "approve":
        # Whoever types more than a yes means more than a yes.
        return {"type": "approve"}, "a yes takes no message" if rest else ""
    if decision == "edit":
        text = rest or (yield "arguments to change, as JSON: ").strip()
        return _edited(question, text)
    if decision == "reject":
        message = rest or (yield "reason (may be empty): ").strip()
        return {"type": "reject", **({"message": message} if message else {})}, ""
    message = rest or (yield "answer for the model: ").strip()
    return {"type": "respond", "message": message}, "" if message else "the answer is empty"


def _edited(question: Question, text: str) -> tuple[Any, str]:
    try:
        changes = json.loads(text)
    except ValueError as error:
        return None, f"this is not JSON: {error}"
    if not isinstance(changes, dict):
        return None, 'arguments are written {"name": value}'
    return question.edit(changes), ""


def _say(question: Question, head: str) -> Generator[str, str, tuple[Any, str]]:
    """An answer of the form that is asked for: text as it is, yes or no, or JSON."""
    kind = (question.schema or {"type": "string"}).get("type")
    hint = {"string": "", "boolean": "[y: yes, n: no] "}.get(str(kind), "as JSON: ")
    typed = (yield f"{head}{hint or '> '}").strip()
    if kind == "string":
        return typed, "" if typed else "the answer is empty"
    if kind == "boolean" and typed.lower() in {"y", "yes", "n", "no"}:
        return typed.lower() in {"y", "yes"}, ""
    try:
        return json.loads(typed), ""
    except ValueError as error:
        # Among other things it may be a text: then it need not be quoted.
        if typed and not question.problems(typed):
            return typed, ""
        return None, f"this is not JSON: {error}" + (
            f"; it must fit {_short(question)}" if question.schema else ""
        )


def _short(question: Question) -> str:
    text = json.dumps(question.schema, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}..."
