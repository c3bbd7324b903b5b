"""Keys as text: made, read from the environment, refused without being repeated."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.errors import ConfigurationError
from specflow.sealing.environment import sealer_of
from specflow.sealing.keys import KEY_BYTES, PREFIX, key_id, new_key, read_keys
from specflow.sealing.sealer import VARIABLE


def test_a_new_key_is_a_key_and_new() -> None:
    texts = [new_key() for _ in range(20)]
    found = read_keys(", ".join(texts))
    assert len(set(found)) == 20
    assert {len(key) for key in found} == {KEY_BYTES}
    assert len({key_id(key) for key in found}) == 20


@pytest.mark.parametrize("text", ["", "  "])
def test_no_key_is_no_sealer(text: str) -> None:
    assert read_keys(text) == ()
    assert sealer_of({VARIABLE: text}) is None
    assert sealer_of({}) is None


@pytest.mark.parametrize(
    "broken",
    [
        "hunter2",
        "sfk1_hunter2",
        new_key()[:-4],
        new_key() + "AAAA",
        new_key().removeprefix(PREFIX),
        "sfk1_ä",
        ",",
    ],
    ids=["a password", "too short", "cut off", "too long", "no prefix", "not ASCII", "a comma"],
)
def test_what_is_no_key_is_refused_and_not_repeated(broken: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{VARIABLE}: key 2 is not a key") as caught:
        read_keys(f"{new_key()},{broken}")
    assert "specflow db new-key" in str(caught.value)
    assert broken == "," or broken not in str(caught.value)


@given(st.text(max_size=100))
def test_any_text_is_keys_or_an_error(text: str) -> None:
    try:
        found = read_keys(text)
    except ConfigurationError:
        return
    assert found == ()
    assert not text.strip()


def test_the_keys_of_the_environment_seal() -> None:
    sealer = sealer_of({VARIABLE: new_key()})
    assert sealer is not None
    assert sealer.open(sealer.seal(b"pin", b"row"), b"row") == b"pin"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "specflow.sealing.aes_gcm", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    assert sealer_of({}) is None, "who wants no keys needs no package"
    with pytest.raises(ConfigurationError, match=r"specflow\[crypto\]"):
        sealer_of({VARIABLE: new_key()})
