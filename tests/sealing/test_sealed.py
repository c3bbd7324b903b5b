"""Values without their secrets: hidden at places, put back from a box, and never by look-alikes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.redaction import HIDDEN, hide, redacted
from specflow.errors import SealedError
from specflow.sealing.aes_gcm import AesGcmSealer
from specflow.sealing.keys import new_key, read_keys
from specflow.sealing.sealed import Sealed, Subject, seal, unseal

SEALER = AesGcmSealer(read_keys(new_key()))
SUBJECT = Subject(effect_id="eff_1", tool="pay", field="args")
NAMES = st.sampled_from(["card", "number", "pin", "items", "0", "note"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(HIDDEN)
)
DATA = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES, lambda some: st.lists(some, max_size=3) | st.dictionaries(NAMES, some), max_leaves=8
    ),
)
STEPS = NAMES | st.just("*")
PATHS = st.lists(st.lists(STEPS, max_size=4).map(lambda steps: ".".join(["args", *steps])), max_size=4)


@given(data=DATA, paths=PATHS)
def test_what_is_hidden_comes_back_exactly(data: dict[str, Any], paths: list[str]) -> None:
    hidden = hide("args", data, paths)
    sealed = seal(SEALER, SUBJECT, hidden.shown, hidden.places, hidden.values)
    stored = json.loads(json.dumps(hidden.shown))
    back = unseal(SEALER, SUBJECT, stored, sealed)
    assert json.dumps(back, sort_keys=True) == json.dumps(data, sort_keys=True)
    assert json.dumps(stored) == json.dumps(hidden.shown), "what was stored is not changed by reading it"


@given(data=DATA, paths=PATHS)
def test_every_place_shows_the_place_holder_and_none_lies_in_another(
    data: dict[str, Any], paths: list[str]
) -> None:
    hidden = hide("args", data, paths)
    for place, value in zip(hidden.places, hidden.values, strict=True):
        shown, whole = hidden.shown, data
        for step in place:
            shown, whole = shown[step], whole[step]  # type: ignore[index] # a place is keys and indices of it
        assert shown == HIDDEN
        assert json.dumps(value) == json.dumps(whole)
    for one in hidden.places:
        assert not any(one != other and one[: len(other)] == other for other in hidden.places)
    assert json.dumps(redacted("args", {}, paths)) in {"{}", json.dumps(HIDDEN)}


@given(data=DATA, paths=PATHS)
def test_hiding_twice_hides_no_less(data: dict[str, Any], paths: list[str]) -> None:
    once = hide("args", data, paths)
    assert hide("args", once.shown, paths).shown == once.shown


@given(size=st.integers(0, 40))
def test_the_length_of_a_short_secret_is_not_told(size: int) -> None:
    boxes = {len(seal(SEALER, SUBJECT, {}, [("pin",)], ["x" * length]).box) for length in (0, size)}
    assert len(boxes) == 1


def test_nothing_hidden_needs_no_box_and_no_key() -> None:
    assert seal(SEALER, SUBJECT, {"a": 1}, [], []) == Sealed()
    assert unseal(None, SUBJECT, {"a": HIDDEN}, Sealed()) == {"a": HIDDEN}


def test_without_a_sealer_only_the_places_are_kept() -> None:
    sealed = seal(None, SUBJECT, {"pin": HIDDEN}, [("pin",)], ["1234"])
    assert sealed == Sealed(places=(("pin",),))
    with pytest.raises(SealedError, match=r"args of eff_1 \(pay\) was not stored .*SPECFLOW_JOURNAL_KEY"):
        unseal(SEALER, SUBJECT, {"pin": HIDDEN}, sealed)


SHOWN = {"pin": HIDDEN, "amount": 3, "other": HIDDEN}
GOOD = seal(SEALER, SUBJECT, SHOWN, [("pin",)], ["1234"])


def test_without_the_key_it_says_which_variable_helps() -> None:
    with pytest.raises(SealedError, match=r"is sealed .*set SPECFLOW_JOURNAL_KEY"):
        unseal(None, SUBJECT, SHOWN, GOOD)
    with pytest.raises(SealedError, match="is sealed under the key"):
        unseal(AesGcmSealer(read_keys(new_key())), SUBJECT, SHOWN, GOOD)


@pytest.mark.parametrize(
    ("subject", "shown", "sealed"),
    [
        (Subject(effect_id="eff_2", tool="pay", field="args"), SHOWN, GOOD),
        (Subject(effect_id="eff_1", tool="mail", field="args"), SHOWN, GOOD),
        (Subject(effect_id="eff_1", tool="pay", field="result"), SHOWN, GOOD),
        (SUBJECT, {**SHOWN, "amount": 4}, GOOD),
        (SUBJECT, SHOWN, Sealed(places=(("other",),), box=GOOD.box)),
        (SUBJECT, SHOWN, Sealed(places=GOOD.places, box=GOOD.box[:-5] + "AAAA=")),
    ],
    ids=["another row", "another tool", "another field", "other data around it", "another place", "changed"],
)
def test_what_was_moved_or_changed_is_refused(subject: Subject, shown: Any, sealed: Sealed) -> None:
    with pytest.raises(SealedError, match="was changed, or belongs to another") as caught:
        unseal(SEALER, subject, shown, sealed)
    assert "1234" not in str(caught.value)


def test_only_a_place_makes_something_hidden() -> None:
    assert unseal(SEALER, SUBJECT, SHOWN, GOOD) == {"pin": "1234", "amount": 3, "other": HIDDEN}
    assert GOOD.reads("args", {("args", "pin")})
    assert GOOD.reads("args", {("args",)}), "all of it holds the secret, too"
    assert GOOD.reads("args", {("args", "pin", "first")})
    assert not GOOD.reads("args", {("args", "other"), ("args", "amount"), ("result", "pin")})
    assert Sealed(places=((),)).reads("args", {("args", "anything")})
    assert Sealed(places=(("cards", 0, "pin"),)).reads("args", {("args", "cards")})
