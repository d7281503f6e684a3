"""NUL in JSON documents."""

import json

import pytest

from gateway.lib.nul import has_nul, without_nul


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\x00b", "ab"),
        ("\x00\x00", ""),
        ("\\\x00", "\\"),
        ("\\u0000", "\\u0000"),
        ("C:\\\\u0000", "C:\\\\u0000"),
        ("plain", "plain"),
    ],
)
def test_a_nul_is_told_from_a_backslash_before_u0000(text: str, left: str) -> None:
    body = json.dumps([text]).encode()
    assert json.loads(without_nul(body)) == [left]
    assert has_nul(body) == ("\x00" in text)
