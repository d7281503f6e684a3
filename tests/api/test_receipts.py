"""Receipts over HTTP: originals and copies, forms, sending, a day in one file, the logo."""

import io
import smtplib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image
from pypdf import PdfReader

from gateway.audit.models import Event
from gateway.catalog.models import Item, ItemClass
from gateway.devices.models import Device
from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Chore
from gateway.notifications import sms
from gateway.sales.models import Contact, Invoice, Logo, PrintedDocument, ReceiptBatch, ReceiptDelivery
from gateway.sales.receipts.batches import forget_batches, make_batch
from gateway.sales.receipts.delivery import carry_delivery
from gateway.tenants.models import Role
from tests.api.caller import Caller
from tests.api.problems import fields, problem
from tests.api.rows import make_invoice
from tests.sales.escpos_reader import read_escpos
from tests.tenants.factories import key_with, make_active

pytestmark = pytest.mark.django_db
BATCHES = "/api/receipts/batches/"
DAY = "2026-11-21"  # of the rows' signed_at, in Nairobi


@pytest.fixture
def device(amani: Onboarded) -> Device:
    return make_active(Device.objects.get())


@pytest.fixture
def invoice(device: Device) -> Invoice:
    return make_invoice(device, "POS-1", total="8445.00")


def path_of(invoice: Invoice, rest: str = "") -> str:
    return f"/api/integration/transactions/{invoice.public_id}/receipt/{rest}"


def labels() -> list[str]:
    return list(PrintedDocument.objects.order_by("pk").values_list("label", flat=True))


def pdf_text(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


# Originals and copies


def test_the_first_who_asks_gets_the_original_and_everybody_after_a_copy(owner: Caller, invoice: Invoice) -> None:
    first, second, third = (owner.get(path_of(invoice)) for _ in range(3))
    assert [answer["Receipt-Label"] for answer in (first, second, third)] == ["NS", "CS", "CS"]
    assert first["Content-Type"] == "application/pdf"
    assert first["Content-Disposition"] == 'attachment; filename="POS-1-ns.pdf"'
    assert "COPY" not in pdf_text(first.content) and "COPY" in pdf_text(second.content)
    assert second.content == third.content
    assert labels() == ["NS", "CS", "CS"]


def test_what_was_handed_out_stands_in_the_journal_s_table(owner: Caller, invoice: Invoice) -> None:
    owner.get(path_of(invoice), {"format": "escpos", "paper": "58mm", "language": "sw"})
    row = PrintedDocument.objects.get()
    assert (row.label, row.format, row.paper, row.language, row.channel) == ("NS", "escpos", "58mm", "sw", "api")
    assert (row.reference, row.branch, str(row.total), row.invoice) == ("POS-1", "00", "8445.00", invoice)
    assert "TAX INVOICE" in row.text and "bidhaa" in row.text and len(row.sha256) == 64
    assert row.actor


@pytest.mark.parametrize("format", ["pdf", "escpos", "html", "text"])
def test_every_form_takes_the_one_original(owner: Caller, invoice: Invoice, format: str) -> None:
    assert owner.get(path_of(invoice), {"format": format})["Receipt-Label"] == "NS"
    for other in ("pdf", "escpos", "html", "text"):
        assert owner.get(path_of(invoice), {"format": other})["Receipt-Label"] == "CS"


def test_a_copy_can_be_asked_for_and_leaves_the_original(owner: Caller, invoice: Invoice) -> None:
    assert owner.get(path_of(invoice), {"as_copy": "true"})["Receipt-Label"] == "CS"
    assert owner.get(path_of(invoice))["Receipt-Label"] == "NS"


@pytest.mark.parametrize(
    ("role", "label"),
    [(Role.CASHIER, "NS"), (Role.ACCOUNTANT, "NS"), (Role.VIEWER, "CS"), (Role.REVENUE_OFFICER, "CS")],
)
def test_who_only_looks_takes_nobody_s_original(amani: Onboarded, invoice: Invoice, role: Role, label: str) -> None:
    assert Caller(key_with(amani.company, role)[1]).get(path_of(invoice))["Receipt-Label"] == label


def test_json_hands_nothing_out_and_says_what_was(owner: Caller, invoice: Invoice) -> None:
    data = owner.get(path_of(invoice), {"format": "json"}).json()
    assert (data["title"], data["label"], data["total"]) == ("TAX INVOICE", "NS", "8445.00")
    assert data["printed"] == {"original_at": None, "copies": 0} and labels() == []
    owner.get(path_of(invoice))
    owner.get(path_of(invoice))
    data = owner.get(path_of(invoice), {"format": "json"}).json()
    assert data["printed"]["original_at"] and data["printed"]["copies"] == 1
    assert (data["label"], data["notice"]) == ("CS", "COPY")


def test_a_sale_that_waits_gives_slips_and_keeps_its_original(owner: Caller, device: Device) -> None:
    waiting = make_invoice(device, "POS-2", status="queued")
    for _ in range(2):
        answer = owner.get(path_of(waiting))
        assert answer["Receipt-Label"] == "SLIP" and "NOT YET FISCALISED" in pdf_text(answer.content)
        assert answer["Content-Disposition"] == 'attachment; filename="POS-2-slip.pdf"'
    assert labels() == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"format": "docx"}, "format"),
        ({"paper": "a5"}, "paper"),
        ({"paper": "58mm"}, "paper"),
        ({"format": "html", "paper": "a4"}, "paper"),
        ({"language": "fr"}, "language"),
        ({"drawer": "true"}, "drawer"),
        ({"formt": "pdf"}, "formt"),
    ],
)
def test_a_wrong_wish_is_named_and_hands_nothing_out(
    owner: Caller, invoice: Invoice, query: dict[str, str], field: str
) -> None:
    assert list(fields(owner.get(path_of(invoice), query))) == [field]
    assert labels() == []


def test_the_drawer_opens_only_when_it_is_asked_for(owner: Caller, invoice: Invoice) -> None:
    query = {"format": "escpos"}
    assert not read_escpos(owner.get(path_of(invoice), query).content).drawer_opened
    assert read_escpos(owner.get(path_of(invoice), {**query, "drawer": "true"}).content).drawer_opened


def test_a_file_s_name_has_nothing_that_breaks_a_header(owner: Caller, device: Device) -> None:
    odd = make_invoice(device, 'A/"é\\ 7;..')
    assert owner.get(path_of(odd))["Content-Disposition"] == 'attachment; filename="A-7-ns.pdf"'


def test_a_key_of_another_device_finds_nothing(amani: Onboarded, invoice: Invoice) -> None:
    bound = Caller(key_with(amani.company, Role.CASHIER, device=uuid.uuid4())[1])
    assert problem(bound.get(path_of(invoice)), 404, "not_found")


# Sending


def send(owner: Caller, invoice: Invoice, **body: Any) -> Any:
    return owner.post(path_of(invoice, "send/"), body)


def test_a_receipt_goes_out_by_mail_with_the_original_attached(owner: Caller, invoice: Invoice) -> None:
    answer = send(owner, invoice, to="buyer@example.com", language="sw")
    assert answer.status_code == 202 and answer.json()["status"] == "waiting"
    assert Chore.objects.get().kind == "receipt_delivery"
    delivery = ReceiptDelivery.objects.get()
    carry_delivery(delivery.pk, lambda: None)
    (sent,) = mail.outbox
    assert sent.to == ["buyer@example.com"]
    assert sent.subject == "Risiti yako kutoka Amani Stores Ltd: SIMCU0100000001/14"
    assert "/receipts/" in sent.body and "8,445.00" in sent.body
    ((name, content, kind),) = sent.attachments
    assert (name, kind) == ("receipt.pdf", "application/pdf") and "COPY" not in pdf_text(content)
    (row,) = owner.get(path_of(invoice, "deliveries/")).json()["deliveries"]
    assert (row["status"], row["label"], row["problem"]) == ("sent", "NS", None) and row["sent_at"]
    assert labels() == ["NS"] and PrintedDocument.objects.get().channel == "mail"
    assert ReceiptDelivery.objects.get().content is None
    carry_delivery(delivery.pk, lambda: None)  # a chore that is carried twice
    assert len(mail.outbox) == 1
    assert Event.objects.filter(name="receipt.sent").count() == 1


def test_a_mail_server_that_is_away_makes_no_copy_of_an_original(
    owner: Caller, invoice: Invoice, settings: Any
) -> None:
    send(owner, invoice, to="buyer@example.com")
    delivery = ReceiptDelivery.objects.get()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    with pytest.raises((OSError, smtplib.SMTPException)):
        carry_delivery(delivery.pk, lambda: None)
    (row,) = owner.get(path_of(invoice, "deliveries/")).json()["deliveries"]
    assert row["status"] == "failed" and "refused" in row["problem"].lower()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    carry_delivery(delivery.pk, lambda: None)
    assert "COPY" not in pdf_text(mail.outbox[0].attachments[0][1]) and labels() == ["NS"]


def test_without_an_address_that_of_the_sale_is_taken(owner: Caller, invoice: Invoice) -> None:
    assert fields(send(owner, invoice)) == {"to": "missing"}
    Contact.objects.create(invoice=invoice, email="kept@example.com")
    assert send(owner, invoice).json()["to"] == "kept@example.com"


def test_a_wrong_address_and_a_sale_without_a_receipt_are_refused(
    owner: Caller, invoice: Invoice, device: Device
) -> None:
    assert fields(send(owner, invoice, to="no address")) == {"to": "bad_address"}
    waiting = make_invoice(device, "POS-2", status="queued")
    assert problem(send(owner, waiting, to="buyer@example.com"), 409, "not_signed")
    assert not ReceiptDelivery.objects.exists() and not Chore.objects.exists()


def test_sms_without_a_provider_says_so_and_gives_the_link(owner: Caller, invoice: Invoice) -> None:
    said = problem(send(owner, invoice, channel="sms", to="+254700000000"), 409, "channel_not_set_up")
    assert "/receipts/" in said["detail"]
    assert not ReceiptDelivery.objects.exists()


class Kept:
    """A provider that takes everything."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, *, to: str, text: str) -> None:
        self.sent.append((to, text))


def test_sms_with_a_provider_carries_the_link_and_takes_no_original(owner: Caller, invoice: Invoice) -> None:
    provider = Kept()
    sms.set_provider(provider)
    try:
        assert fields(send(owner, invoice, channel="sms", to="12")) == {"to": "bad_address"}
        assert send(owner, invoice, channel="sms", to="+254 700 000 000").status_code == 202
        carry_delivery(ReceiptDelivery.objects.get().pk, lambda: None)
    finally:
        sms.set_provider(None)
    ((to, text),) = provider.sent
    assert to == "+254700000000" and "8,445.00" in text and "/receipts/" in text
    assert labels() == []


# A day in one file


def begin(owner: Caller, **body: Any) -> Any:
    return owner.post(BATCHES, {"day": DAY, **body})


def test_a_day_comes_as_one_file_of_copies(owner: Caller, device: Device) -> None:
    for number in range(3):
        make_invoice(device, f"POS-{number}")
    make_invoice(device, "POS-EARLIER", signed_at=datetime(2026, 11, 20, 20, 59, 59, tzinfo=UTC))
    make_invoice(device, "POS-LATER", signed_at=datetime(2026, 11, 21, 21, 0, tzinfo=UTC))
    make_invoice(device, "POS-WAITING", status="queued")
    begun = begin(owner)
    assert begun.status_code == 202 and begun.json()["status"] == "waiting" and begun.json()["file_url"] is None
    path = f"{BATCHES}{begun.json()['id']}/"
    assert problem(owner.get(f"{path}file/"), 404, "not_found")
    batch = ReceiptBatch.objects.get()
    make_batch(batch.pk, lambda: None)
    make_batch(batch.pk, lambda: None)  # a chore that is carried twice
    answer = owner.get(path).json()
    assert (answer["status"], answer["documents_total"], answer["documents_done"]) == ("done", 3, 3)
    file = owner.get(answer["file_url"])
    assert file["Content-Type"] == "application/pdf" and f"receipts-00-{DAY}.pdf" in file["Content-Disposition"]
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(file.content)).pages]
    assert [f"POS-{number}" in page and "COPY" in page for number, page in enumerate(pages)] == [True] * 3
    assert labels() == ["CS"] * 3
    assert set(PrintedDocument.objects.values_list("channel", flat=True)) == {"batch"}


def test_a_day_without_receipts_has_no_file(owner: Caller, device: Device) -> None:
    begin(owner, day="2026-01-01")
    make_batch(ReceiptBatch.objects.get().pk, lambda: None)
    path = f"{BATCHES}{ReceiptBatch.objects.get().public_id}/"
    answer = owner.get(path).json()
    assert (answer["status"], answer["documents_total"], answer["file_url"]) == ("done", 0, None)
    assert problem(owner.get(f"{path}file/"), 404, "not_found")


def test_batches_are_listed_newest_first_in_pages_and_only_to_their_company(
    owner: Caller, device: Device, stranger: Onboarded
) -> None:
    assert owner.get(BATCHES).json() == {"batches": [], "next": None}
    begun = [begin(owner, day=f"2026-11-{day}").json() for day in (19, 20, 21)]
    first = owner.get(BATCHES, {"limit": 2}).json()
    begin(owner, day="2026-11-22")  # comes before the first page, and moves nothing
    second = owner.get(BATCHES, {"limit": 2, "cursor": first["next"]}).json()
    assert [*first["batches"], *second["batches"]] == begun[::-1] and second["next"] is None
    assert begun[0] == owner.get(f"{BATCHES}{begun[0]['id']}/").json()
    theirs = Caller(stranger.key_text)
    assert theirs.get(BATCHES).json() == {"batches": [], "next": None}
    problem(theirs.get(BATCHES, {"cursor": first["next"]}), 422, "bad_cursor")
    assert fields(owner.get(BATCHES, {"day": DAY})) == {"day": "unknown_field"}
    problem(Caller(key_with(device.company, Role.CASHIER)[1]).get(BATCHES), 403, "role_not_allowed")


def test_a_wrong_day_and_an_unknown_branch_are_named(owner: Caller, device: Device) -> None:
    assert list(fields(begin(owner, day="yesterday"))) == ["day"]
    assert fields(begin(owner, branch="07")) == {"branch": "unknown_branch"}
    assert not ReceiptBatch.objects.exists()


def test_files_are_forgotten_after_a_week(owner: Caller, device: Device) -> None:
    begin(owner)
    make_batch(ReceiptBatch.objects.get().pk, lambda: None)
    finished = ReceiptBatch.objects.get().finished_at
    assert finished is not None
    assert forget_batches(now=finished + timedelta(days=6)) == 0
    assert forget_batches(now=finished + timedelta(days=8)) == 1


# Training and proforma


@pytest.fixture
def tea(device: Device) -> Item:
    return Item.objects.create(
        company_id=device.company_id,
        environment=device.environment,
        code="TEA",
        name="Tea leaves",
        tax_type="B",
        item_class="5016150900",
        product_type="2",
        packaging_unit="NT",
        quantity_unit="KG",
        kra_code="KE2NTKG0000001",
        status="registered",
    )


def sale(**changes: Any) -> dict[str, Any]:
    return {
        "reference": "OFFER-1",
        "issued_at": "2026-11-20T10:00:00+03:00",
        "lines": [{"item_code": "TEA", "quantity": "2", "unit_price": "116.00", "discount_percent": "10"}],
        **changes,
    }


@pytest.mark.parametrize(("kind", "label"), [("proforma", "PS"), ("training", "TS")])
def test_a_sale_is_shown_and_kept_nowhere_but_in_the_journal(owner: Caller, tea: Item, kind: str, label: str) -> None:
    for _ in range(2):  # a reference is not taken
        answer = owner.post(f"/api/integration/receipts/{kind}/?format=text", sale())
        assert answer.status_code == 200, answer.content
        text = answer.content.decode()
        assert kind.upper() in text and "THIS IS NOT AN OFFICIAL RECEIPT" in text
        assert "208.80" in text and "Tea leaves" in text and "OFFER-1" in text
        assert "SCU INFORMATION" not in text and answer["Receipt-Label"] == label
    assert labels() == [label] * 2 and str(PrintedDocument.objects.first().total) == "208.80"  # type: ignore[union-attr]
    assert not Invoice.objects.exists()


def test_a_proforma_may_describe_what_the_catalogue_lacks_and_registers_nothing(owner: Caller, tea: Item) -> None:
    ItemClass.objects.create(environment="sandbox", code="5016150900", name="Sugars", level=5, tax_type="B")
    new = {"item_code": "NEW", "name": "New jam", "item_class": "5016150900", "quantity": 1, "unit_price": "50.00"}
    answer = owner.post("/api/integration/receipts/proforma/?format=text", sale(lines=[new]))
    assert answer.status_code == 200, answer.content
    assert "New jam" in answer.content.decode() and list(Item.objects.values_list("code", flat=True)) == ["TEA"]


def test_a_rehearsal_is_judged_like_a_sale(owner: Caller, amani: Onboarded, tea: Item) -> None:
    path = "/api/integration/receipts/proforma/"
    assert fields(owner.post(path, sale(lines=[]))) == {"lines": "too_few"}
    unknown = owner.post(path, sale(lines=[{"item_code": "NONE", "quantity": 1, "unit_price": 1}]))
    assert next(iter(fields(unknown))).startswith("lines[0]")
    assert list(fields(owner.post(path, sale(referense="x")))) == ["referense"]
    assert problem(owner.post(path, "{"), 400, "not_json")
    assert problem(owner.post(path, sale(device="none")), 404, "not_found")
    assert list(fields(owner.post(f"{path}?format=json", sale()))) == ["format"]
    viewer = Caller(key_with(amani.company, Role.VIEWER)[1])
    assert problem(viewer.post(path, sale()), 403, "role_not_allowed")
    Device.objects.update(status=Device.Status.WAITING)
    assert problem(owner.post(path, sale()), 409, "device_not_ready")
    assert labels() == []


# The logo


def picture(kind: str = "PNG", side: int = 200) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(out, kind)
    return out.getvalue()


def put_logo(amani: Onboarded, content: bytes) -> Any:
    client = Client(raise_request_exception=False)
    headers = {"Authorization": f"Token {amani.key_text}"}
    path = f"/api/companies/{amani.company.public_id}/logo/"
    return client.post(path, {"file": SimpleUploadedFile("logo.png", content)}, headers=headers)


def test_a_logo_is_kept_shown_printed_and_taken_away(owner: Caller, amani: Onboarded, invoice: Invoice) -> None:
    path = f"/api/companies/{amani.company.public_id}/logo/"
    assert problem(owner.get(path), 404, "not_found")
    first, second = picture("PNG"), picture("JPEG")
    assert put_logo(amani, first).json() == {"content_type": "image/png", "bytes": len(first)}
    assert put_logo(amani, first).status_code == 200
    answer = owner.get(path)
    assert (answer.content, answer["Content-Type"]) == (first, "image/png")
    assert len(PdfReader(io.BytesIO(owner.get(path_of(invoice)).content)).pages[0].images) == 1
    assert put_logo(amani, second).json()["content_type"] == "image/jpeg"
    assert owner.ask("DELETE", path).status_code == 204 and owner.ask("DELETE", path).status_code == 204
    assert not Logo.objects.exists()
    names = list(Event.objects.filter(name__startswith="logo.").order_by("pk").values_list("name", flat=True))
    assert names == ["logo.changed", "logo.changed", "logo.removed"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"GIF89a", "PNG or JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PNG or JPEG"),
        (picture()[:200], "PNG or JPEG"),
        (picture("GIF"), "PNG or JPEG"),
        (picture(side=20), "32 to 2000 pixels"),
        (picture(side=2001), "32 to 2000 pixels"),
        (b"\x89PNG" + b"x" * 300_000, "200 KB"),
    ],
)
def test_what_is_no_logo_is_refused_with_a_sentence(amani: Onboarded, content: bytes, says: str) -> None:
    answer = put_logo(amani, content)
    assert fields(answer) == {"file": "bad_logo"} and says in answer.json()["detail"]
    assert not Logo.objects.exists()
