import json
import subprocess
import sys
import uuid
from datetime import datetime

import pytest

from gateway.kra.tax import AmountProfile
from gateway.lib.clock import NAIROBI
from gateway.sales.answers import answer, status_code
from gateway.sales.receipts.identifiers import cu_invoice_number, qr_url, text_code
from gateway.sales.receipts.token import read_receipt_token, receipt_token
from tests.sales.receipt_rows import (
    DEVICE_ID,
    INTERNAL_DATA,
    PUBLIC_ID,
    RECEIPT_URL,
    SIGNATURE,
    UNSIGNED,
    figures_of,
    make_row,
    make_simulated_row,
    make_waiting_row,
)

SECRET = b"the secret of this installation"
URL = "https://gateway.example"
STATUSES = ["queued", "sending", "unknown", "signed", "refused", "cancelled"]


def answer_of(row):
    return answer(row, system_url=URL, secret=SECRET)


def test_a_signed_sale_is_answered_with_all_that_the_control_unit_gave():
    document = answer_of(make_row())

    assert document["receipt"] == {
        "number": 14,
        "total_number": 15,
        "signature": SIGNATURE,
        "internal_data": INTERNAL_DATA,
        "signed_at": "2026-11-20T21:09:32Z",
        "control_unit": "KRACU0100000001",
        "machine_code": "WIS01006230",
        "cu_invoice_number": "KRACU0100000001/14",
        "qr_url": f"{RECEIPT_URL}P051234567X00{SIGNATURE}",
        "recovered": False,
        "simulated": False,
        "url": f"{URL}/receipts/{receipt_token(PUBLIC_ID, SECRET)}/",
    }
    assert (document["id"], document["device"]) == (str(PUBLIC_ID), str(DEVICE_ID))
    assert (document["status"], document["kind"], document["number"]) == ("signed", "sale", 152)
    assert (document["issued_at"], document["accepted_at"]) == ("2026-11-20T08:09:30Z", "2026-11-20T08:09:31.250000Z")
    assert document["buyer"] == {"pin": "P052222222Z", "name": "Baraka Hotels Ltd"}
    assert document["payments"] == [
        {"method": "cash", "amount": "5000.00"},
        {"method": "mobile_money", "amount": "3445.00"},
    ]
    assert document["problem"] is None and document["waiting"] is None


def test_totals_are_given_for_the_tax_letters_that_are_used_and_add_up():
    totals = answer_of(make_row(figures=figures_of([("Tea", "B", "2", "1", "100.00", None)])))["totals"]
    assert totals == {
        "amount": "100.00",
        "tax": "13.79",
        "net": "86.21",
        "by_tax_type": {"B": {"net": "86.21", "tax": "13.79", "amount": "100.00"}},
    }
    assert list(answer_of(make_row())["totals"]["by_tax_type"]) == ["A", "B", "C", "D", "E"]


def test_totals_show_net_amounts_whatever_the_profile_put_on_the_wire():
    sold = [("Tea", "B", "2", "1", "100.00", None)]
    answers = [
        answer_of(make_row(figures=figures_of(sold, profile=profile)))["totals"]["by_tax_type"]["B"]["net"]
        for profile in AmountProfile
    ]
    assert answers == ["86.21"] * 3


def test_a_letter_with_a_free_line_counts_as_used():
    free = figures_of([("Tea", "B", "2", "1", "100.00", None), ("Sample", "C", "2", "1", "0.00", None)])
    assert answer_of(make_row(figures=free))["totals"]["by_tax_type"]["C"]["amount"] == "0.00"


@pytest.mark.parametrize("status", STATUSES)
def test_the_answer_is_the_same_whichever_way_the_row_was_read(status):
    row = make_row(status=status, problem={"code": "x", "detail": "y", "fields": [], "kra": None})
    as_text = row | {
        "public_id": row["public_id"].hex,
        "device_public_id": str(row["device_public_id"]),
        "figures": json.dumps(row["figures"]),
        "snapshot": json.dumps(row["snapshot"]).encode(),
        "problem": json.dumps(row["problem"]),
        "issued_at": "2026-11-20 08:09:30",
        "accepted_at": "2026-11-20T11:09:31.250000+03:00",
        "signed_at": datetime(2026, 11, 21, 0, 9, 32, tzinfo=NAIROBI),
        "recovered": 0,
    }
    assert answer_of(as_text) == answer_of(row)
    assert json.loads(json.dumps(answer_of(row))) == answer_of(row)


def test_a_time_without_a_zone_is_not_guessed():
    with pytest.raises(ValueError, match="time zone"):
        answer_of(make_row(issued_at=datetime(2026, 11, 20, 8, 9, 30)))  # noqa: DTZ001


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "signed"])
def test_only_a_signed_document_has_a_receipt_even_if_a_row_were_full(status):
    assert answer_of(make_row(status=status))["receipt"] is None


def test_an_unanswered_document_is_shown_neither_as_signed_nor_as_refused():
    leftovers = {"problem": {"code": "being_looked_up", "detail": "KRA refused it, but"}, "hold_reason": "Held"}
    document = answer_of(make_waiting_row("unknown", position=1, reason="anything", **leftovers))
    assert document["receipt"] is None and document["problem"] is None
    reason = "Sent to KRA. No answer came; we are asking KRA what it has. Held"
    assert document["waiting"] == {"position": 1, "reason": reason}
    assert status_code(make_waiting_row("unknown"), False) == status_code(make_waiting_row("unknown"), True) == 202


def test_a_waiting_document_says_where_it_stands_and_why():
    assert answer_of(make_waiting_row(position=3, reason="KRA does not answer"))["waiting"] == {
        "position": 3,
        "reason": "KRA does not answer",
    }
    assert (
        answer_of(make_waiting_row(hold_reason="Held by hand", rest_reason=""))["waiting"]["reason"] == "Held by hand"
    )
    assert answer_of(make_waiting_row(hold_reason="", rest_reason=""))["waiting"] == {
        "position": None,
        "reason": "Waiting for its turn to be sent to KRA.",
    }


def test_a_refused_document_carries_the_reason_and_kra_s_own_words():
    problem = {
        "code": "refused_by_kra",
        "detail": "KRA does not know item SKU-2.",
        "fields": [{"field": "lines[1].item_code", "code": "910", "message": "not registered"}],
        "kra": {"code": "910", "message": "Request parameter error"},
    }
    document = answer_of(make_waiting_row("refused", problem=problem))
    assert document["problem"] == problem and document["waiting"] is None
    ours = {"code": "wrong_total", "detail": "The totals differ."}
    assert answer_of(make_waiting_row("refused", problem=ours))["problem"] == ours | {"fields": [], "kra": None}


@pytest.mark.parametrize(
    ("status", "first", "again"),
    [
        ("signed", 201, 200),
        ("queued", 202, 202),
        ("sending", 202, 202),
        ("unknown", 202, 202),
        ("refused", 422, 422),
        ("cancelled", 200, 200),
    ],
)
def test_the_status_code_tells_what_the_document_is_now(status, first, again):
    assert (status_code({"status": status}, False), status_code({"status": status}, True)) == (first, again)


def test_a_simulated_receipt_is_marked_by_its_snapshot_or_by_its_control_unit():
    assert answer_of(make_simulated_row())["receipt"]["simulated"]
    assert answer_of(make_row(control_unit_id="SIMCU0100000001"))["receipt"]["simulated"]
    assert answer_of(make_row(snapshot={"simulated": True}))["receipt"]["simulated"]


@pytest.mark.parametrize("odd", [{"signature": "SHORT123"}, {"snapshot": {"receipt_url": ""}}])
def test_a_signed_sale_is_answered_even_when_no_qr_link_can_be_built(odd):
    document = answer_of(make_row(**odd))
    assert document["status"] == "signed" and document["receipt"]["qr_url"] is None


def test_a_signed_sale_is_answered_even_when_the_control_unit_is_not_named():
    assert answer_of(make_row(control_unit_id=""))["receipt"]["cu_invoice_number"] is None


def test_a_row_without_its_fiscal_columns_is_answered_while_it_waits():
    assert answer_of(make_row(status="queued", **UNSIGNED))["number"] is None


def test_the_legal_number_is_control_unit_and_receipt_number():
    assert cu_invoice_number("KRACU0100000001", 152) == "KRACU0100000001/152"
    for unit, number in (("", 1), ("KRACU0100000001", 0)):
        with pytest.raises(ValueError, match="needs"):
            cu_invoice_number(unit, number)


def test_the_qr_link_joins_pin_branch_and_signature_without_separators():
    assert qr_url(RECEIPT_URL, pin="P051234567X", branch="03", signature=SIGNATURE) == (
        "https://etims.kra.go.ke/common/link/etims/receipt/indexEtimsReceiptData?Data=P051234567X03QUII27MATATSHFRB"
    )


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("pin", "P05123456X"),
        ("pin", "P0512345678X"),
        ("pin", "P05123456 7X"[:11]),
        ("branch", "0"),
        ("branch", "000"),
        ("signature", "QUII-27MA-TATS-HFRB"),
        ("signature", "QUII27MATATSHFR"),
        ("signature", "QUII27MATATSHFR&"),
        ("signature", ""),
    ],
)
def test_a_qr_link_with_a_part_of_the_wrong_width_is_refused(part, value):
    parts = {"pin": "P051234567X", "branch": "00", "signature": SIGNATURE} | {part: value}
    with pytest.raises(ValueError, match="letters and digits"):
        qr_url(RECEIPT_URL, **parts)


def test_the_text_code_carries_nairobi_time_number_and_codes():
    row = make_row()
    code = text_code(
        signed_at=row["signed_at"],
        control_unit=row["control_unit_id"],
        receipt_number=14,
        internal_data=INTERNAL_DATA,
        signature=SIGNATURE,
    )
    assert code == f"21112026#000932#KRACU0100000001#14#{INTERNAL_DATA}#{SIGNATURE}"


def test_a_link_token_opens_its_own_document_and_no_other():
    token = receipt_token(PUBLIC_ID, SECRET)
    other = receipt_token(uuid.UUID(int=PUBLIC_ID.int + 1), SECRET)
    assert read_receipt_token(token, SECRET) == PUBLIC_ID
    assert len(token) == 64 and token[32:] != other[32:]
    assert read_receipt_token(other[:32] + token[32:], SECRET) is None
    assert read_receipt_token(token, b"another secret") is None


@pytest.mark.parametrize("spoil", [str.upper, lambda token: token[:-1], lambda token: token + "0", lambda token: ""])
def test_a_token_has_one_spelling(spoil):
    assert read_receipt_token(spoil(receipt_token(PUBLIC_ID, SECRET)), SECRET) is None


def test_every_changed_digit_spoils_a_token():
    token = receipt_token(PUBLIC_ID, SECRET)
    for at, digit in enumerate(token):
        changed = token[:at] + ("0" if digit != "0" else "1") + token[at + 1 :]
        assert read_receipt_token(changed, SECRET) is None


def test_answers_need_no_django():
    program = "import sys, gateway.sales.answers; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
