import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lib.crypto import KeyRing, SealBroken, UnknownKey, key_id, new_data_key, open_sealed, seal

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))


@given(plaintext=st.binary(max_size=200), aad=st.binary(max_size=60))
def test_what_is_sealed_opens_again_under_the_same_row(plaintext: bytes, aad: bytes) -> None:
    assert open_sealed(KEY, seal(KEY, plaintext, aad), aad) == plaintext


def test_a_record_moved_to_another_row_does_not_open() -> None:
    sealed = seal(KEY, b"secret", b"device:1:key")
    with pytest.raises(SealBroken):
        open_sealed(KEY, sealed, b"device:2:key")


def test_no_byte_of_a_record_can_be_changed() -> None:
    sealed = seal(KEY, b"secret", b"row")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            open_sealed(KEY, bytes(changed), b"row")


@pytest.mark.parametrize("length", range(40))
def test_a_record_that_was_cut_does_not_open(length: int) -> None:
    with pytest.raises(SealBroken):
        open_sealed(KEY, seal(KEY, b"secret", b"row")[:length], b"row")


def test_another_key_is_named_and_opens_nothing() -> None:
    with pytest.raises(UnknownKey) as caught:
        open_sealed(OTHER, seal(KEY, b"secret", b"row"), b"row")
    assert caught.value.key_id == key_id(KEY).hex()


def test_the_same_secret_is_sealed_differently_each_time_and_never_shows() -> None:
    first, second = seal(KEY, b"secret", b"row"), seal(KEY, b"secret", b"row")
    assert first != second
    assert b"secret" not in first
    assert KEY not in first


def test_the_record_begins_with_its_version_and_the_id_of_its_key() -> None:
    assert seal(KEY, b"", b"")[:9] == b"\x01" + key_id(KEY)


def test_a_new_master_key_wraps_and_the_old_one_still_unwraps() -> None:
    data_key = new_data_key()
    wrapped = KeyRing([KEY]).wrap(data_key, b"company:1")
    rotated = KeyRing([OTHER, KEY])
    assert rotated.unwrap(wrapped, b"company:1") == data_key
    again = rotated.wrap(data_key, b"company:1")
    assert KeyRing([OTHER]).unwrap(again, b"company:1") == data_key
    with pytest.raises(UnknownKey):
        KeyRing([KEY]).unwrap(again, b"company:1")


def test_a_wrapped_key_belongs_to_its_company() -> None:
    ring = KeyRing([KEY])
    with pytest.raises(SealBroken):
        ring.unwrap(ring.wrap(new_data_key(), b"company:1"), b"company:2")


def test_keys_have_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal(b"short", b"", b"")
    with pytest.raises(ValueError, match="32 bytes"):
        KeyRing([KEY]).wrap(b"short", b"")
    with pytest.raises(ValueError, match="master key"):
        KeyRing([])


def test_a_ring_shows_no_key() -> None:
    assert KEY.hex() not in repr(KeyRing([KEY]))
    assert repr(KEY) not in repr(KeyRing([KEY]))
