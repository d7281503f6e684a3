"""Whether a sale may be credited, and how much of it is left: asked under its lock, so that two never both get it.

What its credit notes take is not counted anywhere: it is read from those that are neither refused nor withdrawn. So a
note frees what it took by its status alone, once, whoever changes it.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from gateway.audit.services import record
from gateway.lib.clock import NAIROBI
from gateway.sales.credit_balance import Balance, changed, is_as_credited
from gateway.sales.models import Invoice, LateCredit
from gateway.tenants.models import Company

FREED = (Invoice.Status.REFUSED, Invoice.Status.CANCELLED)  # a note with such a status takes nothing


class NotCreditable(Exception):
    """The sale cannot be credited: a stable code, and a sentence for whoever wanted to."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def lock_sale(sale_id: int) -> Invoice:
    """The sale, locked until the transaction ends. Whoever calls holds the lane's lock already, as everybody does."""
    return Invoice.objects.select_for_update(no_key=True).get(pk=sale_id)


def balance_of(sale: Invoice) -> Balance:
    """What of a sale is left to credit."""
    notes = Invoice.objects.filter(original_id=sale.pk).exclude(status__in=FREED)
    return Balance(sale.figures, notes.values_list("figures", flat=True))


def must_be_creditable(sale: Invoice) -> None:
    """Raises NotCreditable for what no credit note can take back: it is none, or nothing of it will be signed."""
    if sale.kind != Invoice.Kind.SALE:
        raise NotCreditable(
            "is_credit_note", f"{sale.reference} is a credit note itself; only a sale is credited. Post a new sale."
        )
    if sale.status == Invoice.Status.REFUSED:
        raise NotCreditable(
            "original_refused", f"KRA refused the sale {sale.reference}, so there is nothing to take back."
        )
    if sale.status == Invoice.Status.CANCELLED:
        raise NotCreditable(
            "original_cancelled", f"The sale {sale.reference} was withdrawn, so there is nothing to take back."
        )


def must_be_in_time(sale: Invoice, *, now: datetime) -> list[dict[str, str]]:
    """Warnings about the age of a sale. Raises NotCreditable when it is too old and nobody of the staff allowed it."""
    last = _months_after(sale.issued_at.astimezone(NAIROBI), settings.CREDIT_NOTE_MONTHS)
    if now > last:
        allowed = LateCredit.objects.filter(invoice=sale).first()
        if allowed is None:
            raise NotCreditable(
                "too_late_to_credit",
                f"The sale is of {sale.issued_at.astimezone(NAIROBI):%d %B %Y}; it could be credited for "
                f"{settings.CREDIT_NOTE_MONTHS} months, until {last:%d %B %Y}. After that the integrator must allow "
                "it, with a reason.",
            )
        return [{"code": "credited_late", "message": f"Allowed after its time: {allowed.reason}"}]
    if now > sale.issued_at + timedelta(days=settings.CREDIT_NOTE_WARN_DAYS):
        days = (now - sale.issued_at).days
        message = f"The sale is {days} days old. It can be credited until {last:%d %B %Y}."
        return [{"code": "credit_ends_soon", "message": message}]
    return []


def fits_again(note: Invoice) -> None:
    """Lock the sale of a refused credit note and see that it can be asked for again. Raises NotCreditable."""
    assert note.original_id is not None
    sale = lock_sale(note.original_id)
    must_be_creditable(sale)
    must_be_in_time(sale, now=timezone.now())
    if not is_as_credited(sale.revision, sale.figures, note.figures):
        raise NotCreditable("original_changed", changed(sale.reference))
    balance = balance_of(sale)
    if not balance.fits(note.figures["credited"]):
        raise NotCreditable(
            "more_than_left",
            f"{balance.total} of the sale {sale.reference} is left to credit, not all that this note takes of each "
            "line. Post what is left under a new reference.",
        )


@transaction.atomic
def allow_late_credit(*, company: Company, sale: Invoice, reason: str, actor: str) -> LateCredit:
    """Let a sale be credited after its time. The first reason stays; a second call changes nothing.

    Raises NotCreditable when it is no sale that could be credited.
    """
    must_be_creditable(sale)
    allowed, is_new = LateCredit.objects.get_or_create(invoice=sale, defaults={"reason": reason, "actor": actor})
    if is_new:
        record(
            company,
            "invoice.late_credit_allowed",
            subject=sale.public_id,
            environment=sale.environment,
            actor=actor,
            reference=sale.reference,
            reason=reason,
        )
    return allowed


def _months_after(moment: datetime, months: int) -> datetime:
    """The same day and hour so many months later, or the month's last day where it has no such day."""
    years, month = divmod(moment.month - 1 + months, 12)
    for day in range(moment.day, 27, -1):
        try:
            return moment.replace(year=moment.year + years, month=month + 1, day=day)
        except ValueError:
            continue
    return moment.replace(year=moment.year + years, month=month + 1)
