"""What the other tools of a set say of one of them.

Added on 2026-11-21, after the first scoring. Beside `set_x`, `get_x` is the one that does not set. General
because it is how interfaces are made: whoever offers a tool that sets a thing needs no second one for it.

Added later that day, after looking at five public servers: where every tool's name begins with the same word,
the verb of a read stands behind it (`slack_get_users`). General because such a word names the set.
"""

from __future__ import annotations

from collections.abc import Sequence

from specflow.policy.suggest import lexicon
from specflow.policy.suggest.evidence import Artefact, Evidence, Says
from specflow.policy.suggest.names import act
from specflow.policy.suggest.subject import Subject
from specflow.policy.suggest.things import things_of
from specflow.policy.suggest.words import Form, split_name, verb

_SET = 4
"""So many tools share a word by habit and not by chance."""


def evidence(subject: Subject, mates: Sequence[Subject]) -> list[Evidence]:
    """At most one statement of each kind, and none that speaks against a read."""
    return [*_getter(subject, mates), *_behind_prefix(subject, mates)]


def _behind_prefix(subject: Subject, mates: Sequence[Subject]) -> list[Evidence]:
    words = split_name(subject.name)
    own = [split_name(mate.name)[:1] for mate in mates if mate.origin == subject.origin]
    if len(words) < 3 or len(own) < _SET or verb(words[0]) or any(first != words[:1] for first in own):
        return []
    known = verb(words[1])
    if known is None or known.base not in lexicon.READ or known.form is not Form.BASE:
        return []
    text = f"every tool here is called {words[0]!r}; after that the name says {words[1]!r}"
    return [Evidence(artefact=Artefact.NAME, says=Says.READ, text=text)]


def _getter(subject: Subject, mates: Sequence[Subject]) -> list[Evidence]:
    """A read for the getter of a pair: the same words but for the verb, and asked with less than is set."""
    getting, nouns = act(subject.name)
    if getting != "get" or not things_of(nouns):
        return []
    asked = {tuple(split_name(name)) for name in subject.properties}
    for mate in mates:
        setting, same = act(mate.name)
        given = {tuple(split_name(name)) for name in mate.properties}
        # A setter that takes nothing beyond what the getter asks with sets no value.
        if setting == "set" and same == nouns and asked < given:
            text = f"{mate.name} sets what it gets"
            return [Evidence(artefact=Artefact.SIBLING, says=Says.READ, text=text)]
    return []
