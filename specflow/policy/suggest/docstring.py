"""The parts of a description: what the tool does, what it takes, what it gives back."""

from __future__ import annotations

import re
from enum import StrEnum

_PARAMETERS = re.compile(
    r"\s*(?:args|arguments|parameters|params|inputs?|keyword args|raises|throws|errors|attributes)\s*:?\s*",
    re.I,
)
_RESULT = re.compile(r"\s*(?:returns?|yields?|outputs?|response)\s*(?::\s*(?P<rest>.*)|\s*)", re.I)
_OTHER = re.compile(
    r"\s*(?:examples?|notes?|warnings?|usage|see also|description|summary)\s*:\s*(?P<rest>.*)", re.I
)
_ITEM = re.compile(r"\s*[-*]?\s*[`*]*\w+[`*]*\s*(?:\([^)]*\))?\s*(?::|--?|\u2013)\s.*")
_FIELD = re.compile(r"\s*:(?:param|type|raises?)\b[^:]*:.*", re.I)
_FIELD_RESULT = re.compile(r"\s*:returns?:(?P<rest>.*)", re.I)
_RULE = re.compile(r"[\s\-=*]*")


class Section(StrEnum):
    """Items of parameters and errors are not kept: they are not what the tool does."""

    ACTS = "acts"
    PARAMETERS = "parameters"
    RESULT = "result"


def sections(text: str) -> list[tuple[Section, str]]:
    """The text in its parts, in order, in the styles of Google, NumPy and Sphinx.

    Only lines that have the look of an item are taken for items: a sentence among them is read as any other.
    """
    found: list[tuple[Section, list[str]]] = [(Section.ACTS, [])]
    for line in text.split("\n"):
        now = found[-1][0]
        if _PARAMETERS.fullmatch(line):
            found.append((Section.PARAMETERS, []))
        elif (header := _RESULT.fullmatch(line)) and (":" in line or _RULE.fullmatch(header["rest"] or "")):
            found.append((Section.RESULT, [header["rest"] or ""]))
        elif header := _FIELD_RESULT.fullmatch(line):
            found.append((Section.RESULT, [header["rest"]]))
        elif header := _OTHER.fullmatch(line):
            found.append((Section.ACTS, [header["rest"]]))
        elif _FIELD.fullmatch(line) or (
            now is Section.PARAMETERS and (_RULE.fullmatch(line) or _ITEM.fullmatch(line))
        ):
            continue
        elif now is Section.PARAMETERS:
            found[-1][1].append(line) if line.startswith((" ", "\t")) else found.append(
                (Section.ACTS, [line])
            )
        else:
            found[-1][1].append(line)
    return [(section, "\n".join(lines)) for section, lines in found if any(map(str.strip, lines))]


def result_text(text: str) -> str:
    """What the description says of the result, in its own section."""
    return "\n".join(part for section, part in sections(text) if section is Section.RESULT)
