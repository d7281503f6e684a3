"""A buyer who asks to be forgotten: nothing of the address stays, and the invoice does."""

from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.lanes.chores import carry_chore
from gateway.lanes.models import Chore
from gateway.sales.contacts import NoContact, erase_contact
from gateway.sales.models import Contact, Invoice, ReceiptDelivery
from gateway.sales.receipts.delivery import Channel, carry_delivery, send_receipt
from gateway.sales.receipts.languages import Language
from tests.api.rows import make_invoice
from tests.tenants.factories import make_active, make_company, make_stranger

pytestmark = pytest.mark.django_db
MAIL, PHONE = "buyer@example.com", "+254712345678"


@pytest.fixture
def device() -> Device:
    return make_active(make_company().device)


def sold(device: Device, reference: str, *, phone: str = "", email: str = "") -> Invoice:
    invoice = make_invoice(device, reference)
    Contact.objects.create(invoice=invoice, phone=phone, email=email)
    return invoice


def sent(invoice: Invoice, to: str, *, channel: Channel = Channel.MAIL) -> ReceiptDelivery:
    return send_receipt(
        invoice_id=invoice.pk, channel=channel, to=to, language=Language.ENGLISH, paper="a4", actor="key:cashier"
    )


def erase(device: Device, contact: str) -> int:
    return erase_contact(company=device.company, contact=contact, actor="command:erase_contact")


def everything_kept() -> str:
    """All that these tables say, in words."""
    rows: list[Any] = [*Contact.objects.values(), *ReceiptDelivery.objects.values(), *Chore.objects.values()]
    return str([*rows, *Event.objects.values()])


def test_an_address_is_erased_from_sales_and_from_what_was_sent_there(device: Device) -> None:
    one = sold(device, "POS-1", phone=PHONE, email="Buyer@Example.com")
    two = make_invoice(device, "POS-2")
    sent(two, MAIL)
    carry_delivery(sent(one, "").pk, lambda: None)
    before = Invoice.objects.values().get(pk=one.pk)
    assert erase(device, f" {MAIL.upper()} ") == 2
    assert MAIL not in everything_kept().lower() and PHONE in everything_kept()
    assert Invoice.objects.values().get(pk=one.pk) == before
    told = {row.invoice_id: (row.status, row.to, row.problem, row.content) for row in ReceiptDelivery.objects.all()}
    assert told == {one.pk: ("sent", "", "", None), two.pk: ("failed", "", "The address was erased.", None)}
    assert erase(device, MAIL) == 0
    (event,) = Event.objects.filter(name="contact.erased")
    assert (event.data, event.actor, event.severity) == ({"documents": 2}, "command:erase_contact", "notice")


def test_what_waits_to_be_sent_there_is_not_sent(device: Device, settings: Any) -> None:
    delivery = sent(make_invoice(device, "POS-1"), MAIL)
    chore = Chore.objects.get()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    carry_chore(chore.pk, {chore.kind: carry_delivery})
    ReceiptDelivery.objects.update(problem=f"550 no such box: {MAIL}")
    Chore.objects.update(last_error=f"550 no such box: {MAIL}")
    erase(device, MAIL)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    carry_delivery(delivery.pk, lambda: None)  # by somebody who had begun before
    assert mail.outbox == [] and not Chore.objects.exists() and MAIL not in everything_kept()


@pytest.mark.parametrize("asked", [PHONE, "0712 345 678", "254712345678", "(0712) 345-678"])
def test_a_phone_number_is_found_however_it_is_written(device: Device, asked: str) -> None:
    sold(device, "POS-1", phone="0712-345678", email=MAIL)
    ReceiptDelivery.objects.create(invoice=make_invoice(device, "POS-2"), channel="sms", to=PHONE, status="sent")
    sold(device, "POS-3", phone="+254712345679")
    assert erase(device, asked) == 2
    assert list(Contact.objects.order_by("pk").values_list("phone", "email")) == [("", MAIL), ("+254712345679", "")]
    assert ReceiptDelivery.objects.get().to == ""


def test_a_row_in_which_nothing_is_left_goes_and_strangers_keep_theirs(device: Device) -> None:
    sold(device, "POS-1", phone=PHONE)
    other = sold(make_active(make_stranger().device), "POS-1", phone=PHONE)
    assert erase(device, PHONE) == 1
    assert [contact.invoice for contact in Contact.objects.all()] == [other]


@pytest.mark.parametrize("wrong", ["", "12345678", "Baraka 712345678"])
def test_what_is_no_address_is_refused(device: Device, wrong: str) -> None:
    with pytest.raises(NoContact):
        erase(device, wrong)


def test_the_command_says_from_how_many_sales(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    sold(device, "POS-1", phone=PHONE)
    call_command("erase_contact", PHONE, "--company", device.company.pin.lower())
    assert capsys.readouterr().out == "Erased from 1 sale.\n"
    for contact, pin in ((PHONE, "P000000000Z"), ("nobody", device.company.pin)):
        with pytest.raises(CommandError):
            call_command("erase_contact", contact, "--company", pin)
