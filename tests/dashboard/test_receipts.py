import uuid

import pytest
from django.conf import settings

from gateway.sales.models import Invoice, PrintedDocument
from gateway.sales.receipts.token import receipt_token
from tests.sales.receipt_rows import RECEIPT_URL, SIGNATURE, make_row, make_waiting_row
from tests.sales.shelves import make_shop
from tests.sales.shelves import store as store_invoice
from tests.statements import statements

pytestmark = [pytest.mark.django_db, pytest.mark.urls("gateway.dashboard.receipts")]


@pytest.fixture
def shop():
    return make_shop()


def store(shop, row):
    """Keep a row and give the link token of it."""
    return receipt_token(store_invoice(shop, row).public_id, settings.SECRET_KEY.encode())


def test_a_link_shows_the_receipt_to_whoever_holds_it(client, shop):
    answer = client.get(f"/receipts/{store(shop, make_row())}/")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    html = answer.content.decode()
    assert "TAX INVOICE" in html and "QUII-27MA-TATS-HFRB" in html and f"{RECEIPT_URL}P051234567X00{SIGNATURE}" in html


def test_the_same_link_gives_plain_text(client, shop):
    answer = client.get(f"/receipts/{store(shop, make_row())}.txt")
    text = answer.content.decode()
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert "TAX INVOICE" in text and "█" not in text
    assert max(map(len, text.splitlines())) == 42


def test_width_and_qr_code_are_asked_for_in_the_address(client, shop):
    token = store(shop, make_row())
    text = client.get(f"/receipts/{token}.txt?width=60&qr=1").content.decode()
    assert "█" in text and max(map(len, text.splitlines())) == 60


@pytest.mark.parametrize("width", ["31", "121", "-40", "abc", "", "4²", "99999999999999999999"])
def test_a_width_no_paper_has_is_answered_with_a_sentence(client, shop, width):
    answer = client.get(f"/receipts/{store(shop, make_row())}.txt", {"width": width})
    assert answer.status_code == 400
    assert answer.content.decode() == "width is a whole number from 32 to 120.\n"


@pytest.mark.parametrize("path", ["/receipts/{}/", "/receipts/{}.txt"])
def test_a_wrong_token_finds_nothing_and_says_so(client, shop, path):
    token = store(shop, make_row())
    unknown = receipt_token(uuid.uuid4(), settings.SECRET_KEY.encode())
    spoilt = token[:-1] + ("0" if token[-1] != "0" else "1")
    other_secret = receipt_token(Invoice.objects.get().public_id, b"another secret")
    for bad in (
        spoilt,
        unknown,
        other_secret,
        token.upper(),
        "no-token",
        token[:32],
        str(Invoice.objects.get().public_id),
    ):
        answer = client.get(path.format(bad))
        assert answer.status_code == 404
        assert "Nothing at this link" in answer.content.decode()
        assert "Amani" not in answer.content.decode() and bad not in answer.content.decode()


def test_links_outlive_a_change_of_the_secret_key(client, shop, settings):
    token = store(shop, make_row())
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-0123456789-0123456789-0123456789"
    assert client.get(f"/receipts/{token}/").status_code == 200


@pytest.mark.parametrize("path", ["/receipts/{}/", "/receipts/{}.txt"])
def test_a_sale_that_waits_gives_the_slip_and_nobody_keeps_it(client, shop, path):
    token = store(shop, make_waiting_row("queued"))
    answer = client.get(path.format(token))
    assert answer.status_code == 200 and "NOT YET FISCALISED" in answer.content.decode()
    assert answer["Cache-Control"] == "private, no-store"

    fiscal = {name: make_row()[name] for name in ("number", "signature", "control_unit_id", "signed_at")}
    numbers = {"receipt_number": 14, "total_receipt_number": 15, "internal_data": "A" * 26}
    Invoice.objects.update(status="signed", **fiscal, **numbers)
    answer = client.get(path.format(token))
    assert "TAX INVOICE" in answer.content.decode() and "FISCALISED" not in answer.content.decode()
    assert answer["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("path", ["/receipts/{}/", "/receipts/{}.txt", "/receipts/x{}/"])
def test_every_answer_is_guarded_and_sets_no_cookie(client, shop, path):
    answer = client.get(path.format(store(shop, make_row())))
    assert answer["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert (answer["Referrer-Policy"], answer["X-Robots-Tag"]) == ("no-referrer", "noindex")
    assert answer["X-Frame-Options"] == "DENY" and answer["X-Content-Type-Options"] == "nosniff"
    assert not answer.cookies and not answer.has_header("Vary")
    assert "private" in answer["Cache-Control"]


def test_a_link_can_be_asked_for_but_not_written_to(client, shop):
    token = store(shop, make_row())
    assert client.head(f"/receipts/{token}/").status_code == 200
    assert client.post(f"/receipts/{token}/").status_code == 405


def test_showing_a_receipt_takes_one_query(client, shop):
    token = store(shop, make_row())
    with statements() as asked:
        client.get(f"/receipts/{token}/")
    with statements() as for_nothing:
        client.get(f"/receipts/{token[:-2]}00/")
    assert (len(asked), for_nothing) == (1, [])


def test_a_look_at_the_page_hands_nothing_out_and_the_button_gives_the_original_once(client, shop):
    token = store(shop, make_row())
    for _ in range(2):
        page = client.get(f"/receipts/{token}/").content.decode()
        assert f'action="/receipts/{token}.pdf"' in page and "in-print" in page
    assert not PrintedDocument.objects.exists()
    first, second = (client.post(f"/receipts/{token}.pdf") for _ in range(2))
    assert [answer["Content-Disposition"] for answer in (first, second)] == [
        'attachment; filename="POS-1-ns.pdf"',
        'attachment; filename="POS-1-cs.pdf"',
    ]
    assert first["Cache-Control"] == "private, no-cache" and first["Referrer-Policy"] == "no-referrer"
    assert "COPY" in client.get(f"/receipts/{token}/").content.decode()
    assert set(PrintedDocument.objects.values_list("channel", flat=True)) == {"link"}


def test_text_for_a_printer_is_the_original_once_and_asking_for_its_head_takes_nothing(client, shop):
    path = f"/receipts/{store(shop, make_row())}.txt"
    assert client.head(path).status_code == 200 and not PrintedDocument.objects.exists()
    assert "OFFICIAL" not in client.get(path).content.decode()
    assert "THIS IS NOT AN OFFICIAL RECEIPT" in client.get(path).content.decode()


def test_a_link_speaks_kiswahili_and_no_language_that_it_does_not_know(client, shop):
    token = store(shop, make_row())
    page = client.get(f"/receipts/{token}/?language=sw").content.decode()
    assert '<html lang="sw">' in page and "Pakua PDF" in page and f'action="/receipts/{token}.pdf?language=sw"' in page
    for path in (f"/receipts/{token}/?language=fr", f"/receipts/{token}.txt?language=fr"):
        assert client.get(path).status_code == 400
    assert client.post(f"/receipts/{token}.pdf?paper=a5").status_code == 400
    assert not PrintedDocument.objects.exists()


def test_there_is_no_pdf_of_what_is_not_signed(client, shop):
    token = store(shop, make_waiting_row("queued"))
    assert "Pakua" not in client.get(f"/receipts/{token}/").content.decode()
    assert client.post(f"/receipts/{token}.pdf").status_code == 404
    assert client.post("/receipts/none.pdf").status_code == 404
