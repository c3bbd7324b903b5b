"""Whether a place in a sentence is somebody else's words: quoted, or after "the page says"."""

from __future__ import annotations

import re
from collections.abc import Set

from specflow.prediction.phrases import Phrases

_SAYING = Phrases("""
says|said|saying|reads|wrote|writes|written|contains|claims|claimed|tells|told|asks|states|stated|repeats|pasted
|quotes|quoted|demands|instructs|suggests that|requests that|sagt|schreibt|steht|dit|dice|sier|说
""")
# The speaker's own words begin anew behind these.
_ANEW = re.compile(r"[,;]|(?<![\w'])(?:so|but|therefore|hence)(?![\w'])")
_LABEL = re.compile(r"(?<!\w)(?:assistant|system|user|human|agent|ai|bot) ?: ?[`*]{0,2}$")
_OPENING = re.compile(r"(?<![\w'])'(?=\w)")
_CLOSING = re.compile(r"(?<=[\w.!?)])'(?!\w)")
_OWN = re.compile(r"(?<![\w'])(?:i|we|i've|i have|i had|as) (?:just )?$")


def is_reported(low: str, heard: Set[str], position: int) -> bool:
    """Whether what begins at `position` is told of somebody, not meant; `low` is the sentence, lowered."""
    front = low[:position]
    if (front.count('"') + front.count("\u201c") + front.count("\u201d")) % 2:
        return True
    if "'" in front and len(_OPENING.findall(front)) > len(_CLOSING.findall(front)):
        return True
    if ":" in front and _LABEL.search(front):
        return True
    said = list(_SAYING.finditer(front, heard))
    return bool(said) and not (_ANEW.search(front, said[-1].end()) or _OWN.search(front[: said[-1].start()]))
