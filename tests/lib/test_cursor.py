import uuid

import pytest

from gateway.lib.cursor import BadCursor, read_cursor, read_place, write_cursor, write_place


def test_a_cursor_is_read_as_it_was_written() -> None:
    public_id = uuid.uuid4()
    assert read_cursor(write_cursor(public_id)) == public_id
    assert read_place(write_place(40)) == 40
    assert read_place(None) == 0


@pytest.mark.parametrize("text", ["", "x", "é", "====", "LTE", "MTAwMDAwMDAwMDAwMDAwMDAwMA", "AAAA"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(text)
    with pytest.raises(BadCursor):
        read_place(text)
