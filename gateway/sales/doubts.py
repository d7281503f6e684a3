"""What an operator may do about a document in doubt: one that was sent, and that nobody knows whether KRA recorded.

The engine settles doubts by itself where KRA can be asked. Where it cannot (a VSCU, a look-up that does not agree), it
holds the lane, and a person decides here:

* `sign_by_hand`  the control unit has it: this is the receipt
* `send_again`    the same number and bytes once more
* `give_back`     KRA does not have it: the number goes to the next document

Each is one transaction that locks the lane first, as the engine does. It changes nothing while a live process owns the
lane or when anything is not as it was seen, and leaves the event `lane.resolved` that says who did it.
"""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile, app_for, credentials_for, profile_for, session_for
from gateway.kra.client import Client
from gateway.kra.documents import Exchange, FoundInvoice
from gateway.kra.errors import KraError, plain
from gateway.kra.operations import path_of
from gateway.kra.profiles import Profile
from gateway.lanes import local
from gateway.lanes.actions import GONE_ON, NotPossible, facts, lock_lane_and_stock, note
from gateway.lanes.models import Attempt, Job, Lane
from gateway.lanes.queries import is_alive
from gateway.lib.clock import from_stamp
from gateway.lib.crypto import SealBroken
from gateway.sales import statements
from gateway.sales.actions import JOB_KIND, tell_of
from gateway.sales.models import Invoice
from gateway.stock.booking import run
from gateway.stock.services import wake_stock

_STAMP = re.compile(r"\d{14}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_FORMS = (
    ("internal_data", re.compile(r"[A-Z0-9]{26}"), "26 letters and digits"),
    ("signature", re.compile(r"[A-Z0-9]{16}"), "16 letters and digits"),
    ("control_unit_id", re.compile(r"[A-Z0-9]{1,18}"), "up to 18 letters and digits"),
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A document that was sent and of which nobody knows whether KRA recorded it, and the lane that is held for it."""

    lane: Lane
    job: Job
    invoice: Invoice

    @property
    def number(self) -> int:
        """The number that it was sent under."""
        assert self.invoice.number is not None
        return self.invoice.number

    def can_be_looked_up(self) -> bool:
        """Whether KRA can be asked what it holds under the number; no VSCU can. Raises NotPossible."""
        return path_of("invoice_details", _profile(self.invoice.device)) is not None

    def last_try_at(self) -> datetime:
        """When it was sent last, as far as we know."""
        tries = Attempt.objects.filter(kind=JOB_KIND, document_id=self.invoice.pk, operation="sales_save")
        ended = [one.started_at + timedelta(milliseconds=one.duration_ms) for one in tries.order_by("-pk")[:1]]
        assert self.invoice.unanswered_at is not None
        return max([self.invoice.unanswered_at, *ended])


class SignedByHand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person read off the control unit or KRA's portal. `signed_at` is the unit's clock: ISO 8601 with its
    zone, or KRA's own digits in Nairobi time. Internal data and signature may stand in groups, as they are printed."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    receipt_number: Annotated[int, msgspec.Meta(ge=1, le=9_999_999_999)]
    total_receipt_number: Annotated[int, msgspec.Meta(ge=1, le=9_999_999_999)]
    internal_data: str
    signature: str
    signed_at: str
    control_unit_id: str


def read_signed(text: bytes) -> SignedByHand:
    """The receipt in a JSON file, checked by itself. Raises NotPossible that names what is wrong."""
    try:
        given = msgspec.json.decode(text, type=SignedByHand)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotPossible(f"The file does not hold a receipt: {error}.") from None
    signed = msgspec.structs.replace(
        given, internal_data=_ungrouped(given.internal_data), signature=_ungrouped(given.signature)
    )
    for name, form, words in _FORMS:
        if not form.fullmatch(getattr(signed, name)):
            raise NotPossible(f"In the file, {name} must have {words}, not {getattr(signed, name)!r}.")
    if signed.receipt_number > signed.total_receipt_number:
        raise NotPossible("In the file, receipt_number is higher than total_receipt_number, of which it is a part.")
    _moment(signed.signed_at)
    return signed


def find_doubt(lane: Lane) -> Doubt:
    """The document in doubt that a held lane stands on. Raises NotPossible with what to do instead."""
    if is_alive(lane.owner):
        raise NotPossible(f"A running process is at work on the lane {lane} at this moment. Try again when it is done.")
    if not lane.hold_reason:
        raise NotPossible(f"The lane {lane} is not held: it goes on by itself, and looks before it sends.")
    job = lane.jobs.filter(kind=JOB_KIND, state=Job.State.STARTED).first()
    if job is None:
        raise NotPossible(
            f"No document of the lane {lane} is in doubt. Mend what it is held for, "
            f"then: manage.py lanes release {lane}"
        )
    found = Invoice.objects.select_related("device__company", "device__branch", "company").get(pk=job.document_id)
    if found.status != Invoice.Status.UNKNOWN or found.number is None or found.unanswered_at is None:
        raise NotPossible(
            f"The process that sent {found.reference} stopped in the middle. Release the lane: the gateway then finds "
            "out how it stands, and holds the lane again if it cannot."
        )
    return Doubt(lane, job, found)


def sign_by_hand(doubt: Doubt, signed: SignedByHand, *, actor: str) -> Invoice:
    """Sign the document in doubt with the receipt that a person found at the control unit, and let the lane go on.

    This is for ever: a signed invoice never changes. Raises NotPossible when the receipt is not this document's (other
    number, other control unit, a receipt that another document of the lane has), or the lane has moved meanwhile.
    """
    if signed.number != doubt.number:
        raise NotPossible(f"The file is about number {signed.number}; the document in doubt has number {doubt.number}.")
    unit = doubt.invoice.device.control_unit_id
    if unit and unit != signed.control_unit_id:
        raise NotPossible(f"The file names the control unit {signed.control_unit_id}; the device's is {unit}.")
    with transaction.atomic():
        lane, job, invoice = _lock_doubt(doubt)
        same = Q(signature=signed.signature) | Q(
            receipt_number=signed.receipt_number, control_unit_id=signed.control_unit_id
        )
        other = Invoice.objects.filter(same, lane=lane, status=Invoice.Status.SIGNED).first()
        if other is not None:
            raise NotPossible(f"That receipt belongs to {other.reference}, number {other.number}.")
        _close(job)
        Invoice.objects.filter(pk=invoice.pk, status=Invoice.Status.UNKNOWN).update(
            status=Invoice.Status.SIGNED,
            receipt_number=signed.receipt_number,
            total_receipt_number=signed.total_receipt_number,
            internal_data=signed.internal_data,
            signature=signed.signature,
            signed_at=_moment(signed.signed_at),
            control_unit_id=signed.control_unit_id,
            machine_code=doubt.invoice.device.machine_code,
            recovered=True,
            unanswered_at=None,
            problem=None,
            settled_at=Now(),
        )
        tell_of(invoice, "invoice.signed", actor=actor, number=doubt.number, recovered=True)
        key = {"company_id": invoice.company_id, "environment": invoice.environment, "cause": f"invoice:{invoice.pk}"}
        for followed in run(statements.FOLLOW, {"id": invoice.pk, "tag": invoice.tag, **key}):
            wake_stock(followed["woken_lane_id"])
        _go_on(
            lane,
            invoice,
            "signed",
            actor=actor,
            used=doubt.number,
            receipt=msgspec.to_builtins(signed),
        )
    return invoice


def send_again(doubt: Doubt, *, actor: str) -> Invoice:
    """Let the lane go on with the document in doubt: same number, same bytes.

    Where KRA can be asked, it is asked first, and what it holds is adopted. A VSCU cannot be asked: there the bytes are
    sent, once; whatever but a receipt comes back holds the lane again, the document still in doubt. Raises NotPossible
    when the lane has moved meanwhile.
    """
    looks_first = doubt.can_be_looked_up()
    with transaction.atomic():
        lane, job, invoice = _lock_doubt(doubt)
        if not looks_first:
            if lane.jobs.exclude(state=Job.State.CLOSED).filter(pk__lt=job.pk).exists():
                raise NotPossible(f"An older document of the lane {lane} is waiting; it would be sent first.")
            # A started job is looked up, a queued one is sent; this one keeps its number, and its try is unanswered
            Job.objects.filter(pk=job.pk, state=Job.State.STARTED).update(state=Job.State.QUEUED)
            Invoice.objects.filter(pk=invoice.pk, status=Invoice.Status.UNKNOWN).update(unanswered_at=Now())
        _go_on(lane, invoice, "resend", actor=actor)
    return invoice


def give_back(doubt: Doubt, *, actor: str, late_seconds: float, now: datetime) -> Invoice:
    """Refuse the document in doubt, as a person states that KRA does not have it; its number goes to the next one.

    A message may land at KRA up to `late_seconds` after it was sent, so not before; and where KRA can be asked, it is
    asked now. Raises NotPossible when it is too early (says how long), when KRA holds a document under the number or
    cannot be asked, or when the lane has moved meanwhile.
    """
    left = doubt.last_try_at() + timedelta(seconds=late_seconds) - now
    if left > timedelta(0):
        raise NotPossible(
            f"It is too early: a message to KRA may land up to {late_seconds:g} seconds after it was sent. "
            f"Try again in {-(-left // timedelta(seconds=1))} seconds."
        )
    if doubt.can_be_looked_up():
        found = _ask_kra(doubt)
        if found is not None:
            raise NotPossible(
                f"KRA holds an invoice under number {doubt.number}, of {found.total} in all. The number cannot be "
                "given back. Release the lane: the gateway looks it up and adopts it, or says what is wrong with it."
            )
    problem = {
        "code": "given_back",
        "detail": "KRA's answer was lost. The operator found that KRA does not have this document, and took it back. "
        "Ask for it again, or correct it.",
        "fields": [],
    }
    with transaction.atomic():
        lane, job, invoice = _lock_doubt(doubt)
        _close(job)
        Invoice.objects.filter(pk=invoice.pk, status=Invoice.Status.UNKNOWN).update(
            status=Invoice.Status.REFUSED, number=None, unanswered_at=None, problem=problem, settled_at=Now()
        )
        tell_of(invoice, "invoice.refused", actor=actor, problem=problem)
        _go_on(lane, invoice, "give_back", actor=actor)
    return invoice


def _lock_doubt(seen: Doubt) -> tuple[Lane, Job, Invoice]:
    """Lane, job and invoice, locked, and the lane of stock: goods may move. Raises NotPossible unless as seen."""
    lane = lock_lane_and_stock(seen.lane.pk)
    now = find_doubt(lane)
    invoice = Invoice.objects.select_for_update(no_key=True).get(pk=now.invoice.pk)
    as_seen = (seen.job.pk, seen.job.turn, seen.invoice.number, seen.invoice.unanswered_at, Invoice.Status.UNKNOWN)
    if as_seen != (now.job.pk, now.job.turn, invoice.number, invoice.unanswered_at, invoice.status):
        raise NotPossible(f"The lane {lane} has moved meanwhile. Look at it again.")
    return lane, now.job, invoice


def _close(job: Job) -> None:
    Job.objects.filter(pk=job.pk, state=Job.State.STARTED).update(state=Job.State.CLOSED, last_error="")


def _go_on(lane: Lane, invoice: Invoice, how: str, *, actor: str, used: int | None = None, **more: Any) -> None:
    """Let the lane go on, past the number that KRA has used, and write down how its doubt was resolved."""
    before = facts(lane) | {"status": invoice.status, "number": invoice.number, "problem": invoice.problem}
    following = F("next_number") if used is None else Greatest("next_number", used + 1)
    Lane.objects.filter(pk=lane.pk).update(**GONE_ON, owner=None, next_number=following)
    lane.refresh_from_db()
    invoice.refresh_from_db()
    told = {"invoice": str(invoice.public_id), "reference": invoice.reference, "status": invoice.status}
    note(lane, "lane.resolved", before, actor=actor, how=how, **told, **more)
    public_id, lane_id = invoice.public_id, lane.pk
    transaction.on_commit(lambda: local.wake(lane_id))
    transaction.on_commit(lambda: local.tell_from_thread(public_id))


def _ask_kra(doubt: Doubt) -> FoundInvoice | None:
    """What KRA holds under the document's number, None for nothing; the exchange is kept. Raises NotPossible."""
    device = doubt.invoice.device
    profile = _profile(device)
    try:
        credentials = credentials_for(device)
    except SealBroken as error:
        raise NotPossible(f"The key of device {device.serial} cannot be opened, so KRA cannot be asked.") from error

    async def ask() -> tuple[FoundInvoice | None, Exchange]:
        async with session_for(profile) as session:
            return await Client(profile, session=session, app=app_for(profile)).find_invoice(credentials, doubt.number)

    try:
        found, exchange = asyncio.run(ask())
    except KraError as error:
        _keep(doubt.invoice, error.exchange)
        raise NotPossible(
            f"KRA must be asked first, and it did not say whether it has number {doubt.number}: {plain(error)}"
        ) from error
    _keep(doubt.invoice, exchange)
    return found


def _profile(device: Device) -> Profile:
    try:
        return profile_for(device)
    except WrongProfile as error:
        raise NotPossible(f"The device {device.serial} cannot be reached: {error}.") from error


def _keep(invoice: Invoice, exchange: Exchange | None) -> None:
    if exchange is not None:
        Attempt.objects.create(
            company_id=invoice.company_id,
            environment=invoice.environment,
            kind=JOB_KIND,
            document_id=invoice.pk,
            operation=exchange.operation,
            number=exchange.number,
            started_at=exchange.started_at,
            duration_ms=exchange.duration_ms,
            http_status=exchange.http_status,
            outcome=exchange.outcome,
            code=exchange.code[:40],
            message=exchange.message[:500],
            request_sha256=exchange.request_sha256,
            request=exchange.request_masked,
            answer=exchange.answer_masked,
        )


def _ungrouped(code: str) -> str:
    return code.replace("-", "").replace(" ", "").upper()


def _moment(text: str) -> datetime:
    """Raises NotPossible."""
    try:
        moment = from_stamp(text) if _STAMP.fullmatch(text) else datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise NotPossible("In the file, signed_at must be a time with its zone, such as 2026-11-20T10:00:00+03:00.")
    return moment
