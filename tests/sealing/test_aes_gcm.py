"""The cipher: what is sealed comes back for its own subject, under any of the keys, and for nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.errors import SealedError
from specflow.sealing.aes_gcm import AesGcmSealer
from specflow.sealing.keys import key_id, new_key, read_keys


def keys(count: int) -> tuple[bytes, ...]:
    return read_keys(",".join(new_key() for _ in range(count)))


ONE, OTHER = keys(2)
SEALER = AesGcmSealer([ONE])


@given(secret=st.binary(max_size=500), subject=st.binary(max_size=100))
def test_a_secret_comes_back_and_its_box_does_not_show_it(secret: bytes, subject: bytes) -> None:
    box = SEALER.seal(secret, subject)
    assert box.isascii()
    assert SEALER.open(box, subject) == secret
    assert SEALER.seal(secret, subject) != box, "the same secret twice does not look the same"


@given(secret=st.binary(min_size=1, max_size=100), at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_changed_bit_is_refused(secret: bytes, at: int, bit: int) -> None:
    box = SEALER.seal(secret, b"row")
    raw = bytearray(box.encode())
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(SealedError) as caught:
        SEALER.open(raw.decode("latin-1"), b"row")
    assert repr(secret) not in str(caught.value)


@given(subject=st.binary(max_size=50), other=st.binary(max_size=50))
def test_a_box_moved_to_another_subject_is_refused(subject: bytes, other: bytes) -> None:
    box = SEALER.seal(b"4111", subject)
    if other == subject:
        assert SEALER.open(box, other) == b"4111"
        return
    with pytest.raises(SealedError, match="belongs to another effect or field"):
        SEALER.open(box, other)


@given(text=st.text(max_size=80))
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(SealedError):
        SEALER.open(text, b"row")
    with pytest.raises(SealedError):
        SEALER.open(f"1:{key_id(ONE)}:{text}", b"row")


def test_there_is_one_way_to_write_a_box() -> None:
    """The last character of base64 has bits that count for nothing: they may not be changed either."""
    box = SEALER.seal(b"", b"row")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert box.endswith("==")
    other = alphabet[alphabet.index(box[-3]) ^ 1]
    with pytest.raises(SealedError, match="was changed"):
        SEALER.open(f"{box[:-3]}{other}==", b"row")


def test_the_first_key_seals_and_all_open() -> None:
    old, rotated = AesGcmSealer([ONE]), AesGcmSealer([OTHER, ONE])
    before, after = old.seal(b"pin", b"row"), rotated.seal(b"pin", b"row")
    assert rotated.open(before, b"row") == rotated.open(after, b"row") == b"pin"
    assert AesGcmSealer([OTHER]).open(after, b"row") == b"pin", "sealed with the first"
    with pytest.raises(SealedError, match="is sealed under the key") as caught:
        old.open(after, b"row")
    assert key_id(OTHER) in str(caught.value), "so that the key can be found"
    assert key_id(ONE) in str(caught.value)
    assert caught.value.facts["key"] == key_id(OTHER)


def test_the_name_of_a_key_cannot_be_exchanged() -> None:
    both = AesGcmSealer([ONE, OTHER])
    box = both.seal(b"pin", b"row").replace(key_id(ONE), key_id(OTHER))
    with pytest.raises(SealedError, match="was changed"):
        both.open(box, b"row")


def test_a_later_form_is_not_guessed_at() -> None:
    with pytest.raises(SealedError, match="newer specflow"):
        SEALER.open("2:" + SEALER.seal(b"pin", b"row")[2:], b"row")


def test_its_text_does_not_show_the_key() -> None:
    assert repr(SEALER) == f"AesGcmSealer({key_id(ONE)})"
