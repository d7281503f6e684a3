"""A receipt on its way to the buyer: by mail with the PDF attached, by SMS as a link. Chores carry it.

What is attached is drawn once, in the transaction that hands it out, and kept until it went: a mail server that is away
makes no copy of an original.
"""

import re
import smtplib
import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.db import transaction

from gateway.lanes.chores import Beat, queue_chore
from gateway.lib.clock import utc_now
from gateway.notifications import sms
from gateway.sales.actions import tell_of
from gateway.sales.models import Contact, Invoice, PrintedDocument, ReceiptDelivery
from gateway.sales.receipts.document import amount, receipt_document
from gateway.sales.receipts.forms import form
from gateway.sales.receipts.handing import hand_out
from gateway.sales.receipts.languages import WORDS, Language
from gateway.sales.receipts.token import receipt_token

CHORE = "receipt_delivery"
GIVEN_UP = "Something failed on our side, several times. Send it again, and tell the operator if that fails too."
_PHONE = re.compile(r"\+?[0-9]{9,15}", re.ASCII)

Channel = ReceiptDelivery.Channel


class NotSigned(Exception):
    """Only a receipt is sent, and there is none yet; `status` is what the invoice is."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class NoAddress(Exception):
    """Nobody said where to send it, or what they said is none; the text says which."""


@transaction.atomic
def send_receipt(
    *, invoice_id: int, channel: Channel, to: str, language: Language, paper: str, actor: str
) -> ReceiptDelivery:
    """Have a receipt sent soon; without `to` to the address that came with the sale.

    Raises NotSigned, NoAddress, and sms.NotSetUp where no provider would carry it.
    """
    invoice = Invoice.objects.select_related("company").get(pk=invoice_id)
    if channel is Channel.SMS and not sms.is_set_up():
        raise sms.NotSetUp
    if invoice.status != Invoice.Status.SIGNED:
        raise NotSigned(invoice.status)
    delivery = ReceiptDelivery.objects.create(
        invoice=invoice,
        channel=channel,
        to=_address(invoice, channel, to),
        language=language,
        paper=paper,
        actor=actor[:100],
    )
    tell_of(invoice, "receipt.sent", actor=actor, channel=str(channel), delivery=str(delivery.public_id))
    queue_chore(CHORE, delivery.pk)
    return delivery


def _address(invoice: Invoice, channel: Channel, to: str) -> str:
    if not to:
        contact = Contact.objects.filter(invoice=invoice).first()
        to = (contact.email if channel is Channel.MAIL else contact.phone) if contact else ""
        if not to:
            raise NoAddress("No address came with the sale: say where to send it.")
    if channel is Channel.MAIL:
        try:
            validate_email(to)
        except ValidationError:
            raise NoAddress("This is no e-mail address.") from None
    else:
        to = re.sub(r"[ ()-]", "", to)
        if not _PHONE.fullmatch(to):
            raise NoAddress("A phone number has 9 to 15 digits, such as +254700000000.")
    return to


def carry_delivery(delivery_id: int, beat: Beat) -> None:
    """Send what was promised; one that went already is left alone. Raises what went wrong, to be tried again."""
    delivery = _prepared(delivery_id)
    if delivery is None:
        return
    beat()
    try:
        _send(delivery)
    except (OSError, smtplib.SMTPException, sms.NotSetUp, sms.NotTaken) as error:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        ReceiptDelivery.objects.filter(pk=delivery.pk, to=delivery.to).update(  # not of an address that was erased now
            status=ReceiptDelivery.Status.FAILED, problem=said[:300].replace("\x00", "")
        )
        raise
    ReceiptDelivery.objects.filter(pk=delivery.pk).update(
        status=ReceiptDelivery.Status.SENT, problem="", content=None, sent_at=utc_now()
    )


def give_up_delivery(delivery_id: int) -> None:
    """Say that it is not sent; what the mail server or the provider said last stays."""
    waiting = ReceiptDelivery.objects.filter(pk=delivery_id, status=ReceiptDelivery.Status.WAITING)
    waiting.update(status=ReceiptDelivery.Status.FAILED, problem=GIVEN_UP)


@transaction.atomic
def _prepared(delivery_id: int) -> ReceiptDelivery | None:
    """The delivery with what it carries, which is drawn the first time; None when there is nothing to do."""
    found = ReceiptDelivery.objects.select_for_update(of=("self",)).select_related("invoice").filter(pk=delivery_id)
    delivery = found.exclude(status=ReceiptDelivery.Status.SENT).exclude(to="").first()
    if delivery is None or delivery.channel == Channel.SMS or delivery.content is not None:
        return delivery
    wanted = form("pdf", delivery.paper, language=Language(delivery.language))
    handed = hand_out(delivery.invoice_id, wanted, channel=PrintedDocument.Channel.MAIL, actor=delivery.actor)
    delivery.content, delivery.label = handed.content, handed.document.label
    delivery.save(update_fields=["content", "label"])
    return delivery


def _send(delivery: ReceiptDelivery) -> None:
    row = Invoice.objects.filter(pk=delivery.invoice_id).values().get()
    document = receipt_document(row, language=Language(delivery.language))
    words = WORDS[document.language]
    unit = document.control_unit
    told = {
        "seller": document.seller.name,
        "number": (unit.invoice_number.rpartition(" ")[0] if unit else "") or document.source.reference,
        "total": amount(document.total),
        "link": receipt_link(row["public_id"]),
    }
    if delivery.channel == Channel.SMS:
        sms.send(to=delivery.to, text=words.sms_text.format(**told))
        return
    mail = EmailMessage(
        subject=words.mail_subject.format(**told), body=words.mail_text.format(**told), to=[delivery.to]
    )
    mail.attach("receipt.pdf", bytes(delivery.content or b""), "application/pdf")
    mail.send()


def receipt_link(public_id: uuid.UUID) -> str:
    """The address of a receipt's page, which is its own permission."""
    return f"{settings.SYSTEM_URL}/receipts/{receipt_token(public_id, settings.SECRET_KEY.encode())}/"


def find_deliveries(invoice_id: int) -> list[ReceiptDelivery]:
    """What was sent of a receipt, newest first; the last hundred."""
    return list(ReceiptDelivery.objects.filter(invoice_id=invoice_id).defer("content").order_by("-pk")[:100])
