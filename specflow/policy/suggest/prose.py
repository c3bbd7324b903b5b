"""What a tool's description says: the act it opens with, and every write it admits to later on."""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

import re
from collections.abc import Iterator

from specflow.policy.suggest import lexicon, statements
from specflow.policy.suggest.docstring import Section, sections
from specflow.policy.suggest.evidence import Artefact, Evidence, Says, Trap
from specflow.policy.suggest.words import Form, Verb, verb

MAX_TEXT = 20_000
"""Characters that are read; what nobody can read to its end is not believed to be harmless."""

_SENTENCE = re.compile(r"(?:[.!?:;](?=\s)|\n\s*(?=\n|[-*#]|[A-Z])|\n{2,})")
_LABEL = re.compile(r"^[ \t]*[-*][ \t]*[`*'\"]*(\w+)[`*'\"]*[ \t]*(:.*)?$", re.M)
_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019][a-z]+)?|,|\d+|[(){}\[\]\"`]")

_DETERMINERS = frozenset(
    """
    a an the this these those your my his her its their our one all some any each every new existing multiple
    specific given it them him user's several another both
    """.split()
)
_LINKS = frozenset({"and", "then", "also", "or", "will", "would", "to", "immediately", "automatically", "it"})
_BE = frozenset({"be", "is", "are", "gets", "get", "being", "been", "was", "were"})


def evidence(description: str) -> list[Evidence]:
    """Every write it admits to; a read when it opens with one and admits to none."""
    found: list[Evidence] = []
    if len(description) > MAX_TEXT:
        found.append(_said(Says.UNSURE, f"longer than {MAX_TEXT:,} characters: not read to its end"))
    text = statements.without_reads(description[:MAX_TEXT]).lower()
    reading = ""
    first = True
    for section, part in sections(text):
        for words in _sentences(part):
            opening, at = _opening(words)
            acts = section is Section.ACTS
            if first and acts:
                reading = _reading(words, opening, at)
            first = False
            # A section on the result opens with a noun: `Address of the place`.
            hit = (_opened(words, opening, at) if acts else "") or _admitted(words, reads=_is_read(opening))
            if hit and not any(item.vetoes for item in found):
                found.append(_said(Says.WRITE, f"it says {hit!r}"))
    found.extend(_traps(text))
    if reading and not any(item.vetoes for item in found):
        found.append(_said(Says.READ, f"it opens with {reading!r}"))
    return found


def adds_nothing(description: str, name_words: list[str]) -> bool:
    """Whether a description is only the name in other spelling, and so no second witness."""
    spoken = {
        _base(word) for words in _sentences(description[:2000].lower()) for word in words if word.isalpha()
    }
    named = {_base(word) for word in name_words}
    return not spoken - named - lexicon.OPENINGS - {"by", "of", "in", "from", "with", "given", "all"}


def _base(word: str) -> str:
    known = verb(word)
    return known.base if known else word.removesuffix("s")


def _sentences(text: str) -> Iterator[list[str]]:
    for part in _SENTENCE.split(_LABEL.sub(_without_label, text)):
        words = [word.replace("\u2019", "'") for word in _TOKEN.findall(part)]
        if any(word.isalpha() for word in words):
            yield words


def _without_label(item: re.Match[str]) -> str:
    # `- exchange: where the stock is listed` names a field; `- delete: ...` may name what the tool can do.
    return str(item[2] or "") if item[1] in lexicon.NOUN_OR_VERB else item[0]


def _opening(words: list[str]) -> tuple[Verb | None, int]:
    """The first verb, when nothing but the usual words of an opening stands before it."""
    for index, word in enumerate(words[:16]):
        known = verb(word)
        if word in lexicon.OPENINGS and not (known and index + 1 < len(words) and _is_act_here(words, index)):
            continue
        if known is not None:
            return known, index
        if word in lexicon.ADVERBS or word.endswith("ly") or not word.isalpha():
            continue
        return None, index
    return None, 0


def _is_act_here(words: list[str], index: int) -> bool:
    # `Provides the weather` is an act, `provides access to` and `can be used` lead up to one.
    return index == 0 and words[index + 1] in _DETERMINERS


def _reading(words: list[str], opening: Verb | None, at: int) -> str:
    if opening is None or opening.form is Form.ED or _named(words, at) or _obtains(words, opening, at):
        return ""
    return words[at] if _is_read(opening) else ""


def _obtains(words: list[str], opening: Verb, at: int) -> bool:
    """`Get a refund` and `List a product` may bring it about; `Get the refund`, `List products` only look."""
    article, thing = (*words[at + 1 : at + 3], "", "")[:2]
    if article not in {"a", "an"}:
        return False
    return opening.base == "list" or (
        opening.base in {"get", "obtain", "find"} and thing in lexicon.NOUN_OR_VERB
    )


def _named(words: list[str], at: int) -> bool:
    """Whether the word there is a noun: `the order`, `a search`."""
    return at > 0 and words[at - 1] in _DETERMINERS


def _is_read(opening: Verb | None) -> bool:
    return opening is not None and opening.base in lexicon.READ | lexicon.WEAK_READ


def _opened(words: list[str], opening: Verb | None, at: int) -> str:
    """The write that a sentence opens with."""
    if opening is None or opening.form is Form.ED or _negated(words, at) or _named(words, at):
        return ""
    if opening.base in lexicon.WRITE:
        return words[at]
    if opening.base not in lexicon.NOUN_OR_VERB or opening.base in lexicon.WEAK_READ | lexicon.OPENINGS:
        return ""
    if opening.base == "request" and _is_state(words[at + 1 :]):
        return ""
    after = words[at + 1] if at + 1 < len(words) else ""
    if opening.form is Form.BASE:
        return words[at]
    return words[at] if after in _DETERMINERS or opening.form is Form.ING else ""


def _is_state(asked: list[str]) -> bool:
    """Whether how something stands is requested: `Request wifi status`, not `Request a status update`.

    Added on 2026-11-21, after the first scoring. General because to request is to ask for, and whether that
    changes anything depends on what is asked for. It speaks no longer against a read, and not for one.
    """
    return asked[-1:] in (["status"], ["state"]) and not {"and", "or", "then", "to", ","} & set(asked)


def _admitted(words: list[str], *, reads: bool) -> str:
    """A write that a sentence admits to after its opening."""
    for index, word in enumerate(words):
        if index and _is_phrase(words[index - 1], word) and not _negated(words, index):
            return f"{words[index - 1]} {word}"
        known = verb(word)
        if known is None or known.base not in lexicon.WRITE | lexicon.NOUN_OR_VERB:
            continue
        # `use this before ...` is said of every tool.
        if known.base in lexicon.WEAK_READ | lexicon.OPENINGS or _negated(words, index):
            continue
        if _acts(words, index, known, reads=reads):
            return word
    return ""


def _is_phrase(one: str, other: str) -> bool:
    known = verb(one)
    return bool({(one, other), (known.base if known else one, other)} & lexicon.PHRASES)


def _acts(words: list[str], index: int, known: Verb, *, reads: bool) -> bool:
    before = words[index - 1] if index else ""
    after = words[index + 1] if index + 1 < len(words) else ""
    certain = known.base in lexicon.WRITE
    clause = _clause(words, index)
    elsewhere = _refers(clause) and "then" not in clause[-3:]
    if known.form is Form.ED:
        passive = any(word in _BE for word in clause[-3:])
        return passive and not (elsewhere and reads)
    if known.form is Form.ING:
        return before in {"by", "for", ""} or (certain and before in {"and", "or", ","})
    if certain:
        noun = known.form is Form.BASE and before in _DETERMINERS
        return not noun and not elsewhere
    # `search and book flights`, `and marks it as read`; but `orders and payments`, `list of orders`.
    linked = before in _LINKS or (before == "," and known.form is Form.THIRD)
    beside = before in {"and", "or"} and index == 2 and known.form is Form.BASE
    return not elsewhere and (beside or (linked and after in _DETERMINERS))


def _clause(words: list[str], index: int) -> list[str]:
    """The words before `index`, back to the last comma or bracket."""
    start = index
    while start and (words[start - 1].isalnum() or "'" in words[start - 1]):
        start -= 1
    return words[start:index]


def _refers(clause: list[str]) -> bool:
    """Whether the clause speaks of an act at another time: at most five words back, and not by opening."""
    near = clause[1:][-5:]
    hits = [at for at, word in enumerate(near) if word in lexicon.REFERENCES]
    return bool(hits) and not {"and", "then"} & set(near[hits[-1] :])


def _negated(words: list[str], index: int) -> bool:
    clause = _clause(words, index)
    # `will not obtain new information or change the database`: `or` carries the negation on.
    near = clause if clause[-1:] in (["or"], ["nor"]) else clause[-4:]
    return any(word in lexicon.NEGATIONS for word in near)


def _traps(text: str) -> Iterator[Evidence]:
    words = set(re.findall(r"[a-z]+", text))
    cached = sorted(words & lexicon.CACHES)
    if cached:
        yield _said(
            Says.UNSURE, f"it says {cached[0]!r}: it may fill a cache that others read", Trap.HIDDEN_CACHE
        )
    drawn = sorted(words & {"random", "randomly", "shuffle", "shuffled", "dice"})
    if drawn:
        yield _said(
            Says.UNSURE, f"it says {drawn[0]!r}: every call may answer differently", Trap.RANDOM_STATE
        )
    flips = sorted(words & {"toggle", "toggles", "toggled", "flips", "inverts"})
    if flips:
        yield _said(Says.WRITE, f"it says {flips[0]!r}: twice is not once", Trap.TOGGLE)


def _said(says: Says, text: str, trap: Trap | None = None) -> Evidence:
    return Evidence(artefact=Artefact.PROSE, says=says, text=text, trap=trap)
