"""Receipts of a running gateway: who is first, what rehearsals use, a day in one file, a mail."""

import io
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from pypdf import PdfReader

from gateway.lib.clock import NAIROBI
from tests.gateway import Answer, Shop

pytestmark = pytest.mark.needs_database


def download(shop: Shop, path: str) -> bytes:
    request = urllib.request.Request(f"{shop.gateway.url}{path}", headers={"Authorization": f"Token {shop.key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def until(ask: Callable[[], Answer], done: Callable[[Any], bool], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not done(body := ask().body):
        assert time.monotonic() < deadline, body
        time.sleep(0.2)
    return body


def test_of_many_who_ask_at_once_one_gets_the_original(shop: Shop) -> None:
    sale = shop.sell("RACE-1").body
    path = f"/api/integration/transactions/{sale['id']}/receipt/?format=text"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.call("GET", path), range(16)))
    assert Counter(answer.headers["receipt-label"] for answer in answers) == {"NS": 1, "CS": 15}


def test_training_and_proforma_use_no_number_and_no_stock(shop: Shop) -> None:
    first = shop.sell("REAL-1").body
    for kind, label in (("proforma", "PS"), ("training", "TS")):
        path = f"/api/integration/receipts/{kind}/?format=text&language=sw"
        answer = shop.call("POST", path, shop.sale("REAL-2"))
        assert answer.status == 200, answer
        assert answer.headers["receipt-label"] == label and "THIS IS NOT AN OFFICIAL RECEIPT" in answer.body
        assert "232.00" in answer.body and "QUII" not in answer.body
    second = shop.sell("REAL-2").body
    assert second["status"] == "signed" and second["number"] == first["number"] + 1
    references = [one["reference"] for one in shop.call("GET", "/api/invoices/").body["invoices"]]
    assert sorted(references) == ["REAL-1", "REAL-2"]


def test_a_day_is_made_into_one_file_in_the_background(shop: Shop) -> None:
    sales = [shop.sell(f"DAY-{number}").body for number in range(3)]
    day = day_of(sales[0])
    begun = shop.call("POST", "/api/receipts/batches/", {"day": day, "paper": "80mm"})
    assert begun.status == 202, begun
    path = f"/api/receipts/batches/{begun.body['id']}/"
    made = until(lambda: shop.call("GET", path), lambda body: body["status"] in ("done", "failed"))
    assert (made["status"], made["documents_done"]) == ("done", 3)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(download(shop, made["file_url"]))).pages]
    assert len(pages) == 3 and all("COPY" in page for page in pages)
    assert shop.call("GET", f"/api/integration/transactions/{sales[0]['id']}/receipt/").headers["receipt-label"] == "NS"


def day_of(sale: dict[str, Any]) -> str:
    """The day in Nairobi on which the control unit signed, from what the receipt shows."""
    signed = datetime.fromisoformat(sale["receipt"]["signed_at"].replace("Z", "+00:00"))
    return signed.astimezone(NAIROBI).date().isoformat()


def test_the_link_shows_without_handing_out_and_its_button_gives_the_original_once(shop: Shop) -> None:
    url = shop.sell("LINK-1").body["receipt"]["url"]
    path = url[url.index("/receipts/") :]
    for _ in range(2):
        page = shop.gateway.call("GET", path)
        assert page.status == 200 and "Download as PDF" in page.body
        assert '<div class="watermark in-print"' in page.body
    given = [shop.gateway.call("POST", f"{path.rstrip('/')}.pdf") for _ in range(2)]
    assert [answer.headers["content-disposition"].split("-")[-1] for answer in given] == ['ns.pdf"', 'cs.pdf"']
    assert '<div class="watermark"' in shop.gateway.call("GET", path).body
    assert shop.gateway.call("GET", f"{path.rstrip('/')}.pdf").status == 405
