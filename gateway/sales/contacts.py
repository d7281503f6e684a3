"""Forget how a buyer can be reached: the Data Protection Act 2019 lets everybody ask for it.

A phone number and an e-mail address are no part of an invoice (docs/adr/0007), and none goes to KRA. What stays is the
invoice itself, with the buyer's name and PIN, which the law wants kept.
"""

import re

from django.db import transaction
from django.db.models import QuerySet

from gateway.audit.services import record
from gateway.lanes.models import Chore
from gateway.sales.models import Contact, ReceiptDelivery
from gateway.sales.receipts.delivery import CHORE
from gateway.tenants.models import Company

ERASED = "The address was erased."
_TELLING = 9  # digits that tell a phone number, whether it was written +254…, 254… or 0…


class NoContact(Exception):
    """This is neither an e-mail address nor a phone number."""


@transaction.atomic
def erase_contact(*, company: Company, contact: str, actor: str) -> int:
    """Erase an e-mail address or a phone number from all of a company's sales, in both environments; from how many.

    What was to be sent there is not sent any more. A second call finds nothing. The journal says that it was done, and
    not whose address it was. Raises NoContact.
    """
    contacts = Contact.objects.filter(invoice__company=company)
    deliveries = ReceiptDelivery.objects.filter(invoice__company=company)
    if "@" in contact:
        kept = contacts.filter(email__iexact=contact.strip())
        sent = list(deliveries.filter(to__iexact=contact.strip()).values_list("pk", "invoice"))
        invoices = {*_forgotten(kept, "email"), *(invoice for _, invoice in sent)}
    else:
        ending = _ending(contact)
        phones = contacts.exclude(phone="").values_list("pk", "phone")
        kept = contacts.filter(pk__in=[pk for pk, phone in phones.iterator() if _digits(phone).endswith(ending)])
        sent = list(deliveries.filter(channel="sms", to__endswith=ending).values_list("pk", "invoice"))
        invoices = {*_forgotten(kept, "phone"), *(invoice for _, invoice in sent)}
    _take_back([pk for pk, _ in sent])
    if invoices:
        record(company, "contact.erased", subject=company.public_id, actor=actor, documents=len(invoices))
    return len(invoices)


def _forgotten(contacts: QuerySet[Contact], column: str) -> list[int]:
    """Empty a column, and take away rows in which nothing is left; the invoices that they were of."""
    invoices = list(contacts.values_list("invoice", flat=True))
    mine = Contact.objects.filter(invoice__in=invoices)
    mine.update(**{column: ""})
    mine.filter(phone="", email="").delete()
    return invoices


def _take_back(deliveries: list[int]) -> None:
    mine = ReceiptDelivery.objects.filter(pk__in=deliveries)
    mine.exclude(status=ReceiptDelivery.Status.SENT).update(status=ReceiptDelivery.Status.FAILED)
    mine.update(to="", problem="", content=None)  # a mail server's complaint names the address
    mine.filter(status=ReceiptDelivery.Status.FAILED).update(problem=ERASED)
    Chore.objects.filter(kind=CHORE, document_id__in=deliveries).delete()


def _ending(phone: str) -> str:
    digits = _digits(phone)
    if len(digits) < _TELLING or re.search(r"[^0-9 ()+-]", phone):
        raise NoContact(phone)
    return digits[-_TELLING:]


def _digits(phone: str) -> str:
    return re.sub(r"[^0-9]", "", phone)
