import json
import pickle
from pathlib import Path

import pytest

from gateway.kra import errors
from gateway.kra.errors import (
    Busy,
    DeviceTrouble,
    Drift,
    Duplicate,
    KraError,
    NoAnswer,
    NotOffered,
    NotSent,
    Refused,
    plain,
)

DATA = Path(errors.__file__).parent / "data"
SENTENCES = json.loads((DATA / "sentences.json").read_text())
TABLE = json.loads((DATA / "errors.json").read_text())
FAMILY = (NotSent, NoAnswer, Refused, Duplicate, Drift, DeviceTrouble, Busy, NotOffered)


def test_every_code_pattern_and_http_rule_has_its_sentence():
    codes = {row["code"] for row in TABLE["codes"] if row["class"] != "success"} - {"001"}
    assert codes | {row["id"] for row in TABLE["http_rules"]} <= set(SENTENCES["codes"])
    assert {row["id"] for row in TABLE["message_patterns"]} == set(SENTENCES["rules"])
    assert {kind.__name__ for kind in (KraError, *FAMILY)} == set(SENTENCES["kinds"])


def test_a_sentence_is_a_sentence_and_speaks_no_protocol():
    for table in SENTENCES.values():
        for sentence in table.values():
            assert sentence[0].isupper() and sentence.endswith(".") and len(sentence) < 140
            for jargon in ("invcNo", "itemCd", "rsdQty", "HTTP", "JSON", "API", "resultCd", "cmcKey"):
                assert jargon not in sentence


@pytest.mark.parametrize("kind", FAMILY)
def test_an_unknown_code_falls_back_to_what_the_error_means(kind):
    assert plain(kind("never seen", "x")) == SENTENCES["kinds"][kind.__name__]


def test_the_most_precise_sentence_wins():
    assert plain(Refused("910", "x", rule="rate_mismatch")) == SENTENCES["rules"]["rate_mismatch"]
    assert plain(Refused("910", "x", rule="unknown")) == SENTENCES["codes"]["910"]


def test_an_error_says_its_code_and_words():
    assert str(Refused("910", "Request parameter error", "lines.name")) == "910: Request parameter error"
    assert str(NoAnswer("no_answer", "")) == "no_answer"
    assert repr(Busy("990", "slow")) == "Busy('990', 'slow')"


def test_an_error_survives_the_way_to_another_process():
    error = pickle.loads(pickle.dumps(Drift("910", "x", expected=5)))
    assert (type(error), error.code, error.expected) == (Drift, "910", 5)
