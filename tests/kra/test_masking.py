import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kra.masking import masked, masked_sale, scrubbed


@pytest.mark.parametrize(
    "body",
    [
        '{"cmcKey":"SECRET"}',
        '{"cmcKey" : "SEC\\"RET"}',
        '{"data":{"info":{"CMCKEY":"SECRET","mgrEmail":"SECRET@x.co"}}}',
        '{"pwd":"SECRET"',
        '{"cmcKey":"SECRET',
        '{"access_token": "SECRET", "expires_in": 1}',
    ],
)
def test_named_secrets_are_masked_even_in_a_cut_message(body):
    kept = masked(body.encode(), ())
    assert "SEC" not in kept and "***" in kept


def test_a_long_list_is_cut_and_says_so():
    kept = masked(b'{"name":"' + b"x" * 100_000, ())
    assert len(kept) < 17_000 and kept.endswith(" …")


def test_no_half_of_a_secret_survives_at_the_cut():
    secret = "S" * 40
    for at in range(16_330, 16_400):
        assert "SS" not in masked(b"x" * at + secret.encode() + b"x" * 100, (secret,))


def test_bytes_that_are_no_text_are_still_kept():
    assert masked(b"\xff\xfe", ()) == "\ufffd\ufffd"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40), st.integers(0, 3))
def test_a_secret_is_found_however_often_json_escaped_it(secret, times):
    text: object = {"message": secret}
    for _ in range(times):
        text = {"message": json.dumps(text)}
    assert secret not in scrubbed(json.dumps(text), (secret,))
    assert "***" in scrubbed(json.dumps(text), (secret,))


def test_a_key_written_with_unicode_escapes_is_found():
    assert scrubbed(r"ab\/cd\u003d\u003D", ("ab/cd==",)) == "***"


def test_no_secret_leaves_the_text_alone():
    assert scrubbed("text", ("", "")) == "text"


@given(st.text(), st.text())
def test_a_sale_is_masked_whatever_the_buyer_is_called(name, phone):
    body = json.dumps({"custNm": name, "receipt": {"custMblNo": phone}, "end": 1}, separators=(",", ":"))
    kept = json.loads(masked_sale(body.encode()))
    assert kept == {"custNm": "***", "receipt": {"custMblNo": "***"}, "end": 1}


def test_a_walk_in_sale_has_nothing_to_mask():
    body = b'{"custNm":null,"receipt":{"custMblNo":null}}'
    assert masked_sale(body) == body.decode()
