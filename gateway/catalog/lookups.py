"""What KRA knows of a PIN, asked for once and kept with its age; and KRA's notices, shown to each company once."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.cache import cache
from django.db.models import Exists, OuterRef

from gateway.catalog.models import KraBranch, Notice, NoticeRead, PinLookup
from gateway.devices.asking import ask_kra, keep_attempts
from gateway.devices.models import Device
from gateway.devices.services import DeviceNotReady
from gateway.kra.branch_documents import Taxpayer
from gateway.kra.calls import branches
from gateway.kra.errors import Busy, KraError
from gateway.tenants.models import Company

FRESH = timedelta(days=7)  # a taxpayer's name and status change seldom
FRESH_UNKNOWN = timedelta(hours=1)  # a PIN that KRA did not know may be a new one
TOO_OFTEN = "990"  # KRA limits look-ups
REST_SECONDS = 60


class Found(NamedTuple):
    """What is known of a PIN; `is_fresh` False: KRA could not be asked now, this is what it said then."""

    row: PinLookup
    is_fresh: bool


def look_up_pin(
    *, company: Company, environment: str, device: Device | None, pin: str, now: datetime, fresh: timedelta = FRESH
) -> Found:
    """Who a PIN belongs to: as KRA said not longer ago than `fresh`, else KRA is asked.

    When KRA cannot be asked, or has been asked too often (990, then a minute's rest), what it said before is given
    however old it is. Raises DeviceNotReady, KraError when it never said anything.
    """
    known = PinLookup.objects.filter(company=company, environment=environment, pin=pin).first()
    if known is not None and now - known.asked_at <= (fresh if known.is_known else min(fresh, FRESH_UNKNOWN)):
        return Found(known, is_fresh=True)
    try:
        if device is None:
            raise DeviceNotReady("no device of the company is active")
        taxpayer = _ask(device, pin)
    except (KraError, DeviceNotReady):
        if known is None:
            raise
        return Found(known, is_fresh=False)
    told = {} if taxpayer is None else _told(taxpayer)
    row, _ = PinLookup.objects.update_or_create(
        company=company,
        environment=environment,
        pin=pin,
        defaults={"is_known": taxpayer is not None, **told, "asked_at": now},
    )
    return Found(row, is_fresh=True)


def _ask(device: Device, pin: str) -> Taxpayer | None:
    rests = f"lookups-rest-{device.pk}"
    if cache.get(rests):
        raise Busy(TOO_OFTEN, "asked too often, less than a minute ago", retry_after=REST_SECONDS)
    try:
        taxpayer, exchange = ask_kra(
            device, lambda client, credentials: branches.find_taxpayer(client, credentials, pin), kind="lookup"
        )
    except KraError as error:
        if error.code == TOO_OFTEN:
            cache.set(rests, True, REST_SECONDS)
        raise
    keep_attempts(device, [exchange], kind="lookup")
    return taxpayer


def _told(taxpayer: Taxpayer) -> dict[str, str]:
    return {
        "name": taxpayer.name[:200],
        "status": taxpayer.status[:5],
        "county": taxpayer.county_name[:100],
        "sub_county": taxpayer.sub_county_name[:100],
        "locality": taxpayer.tax_locality_name[:100],
        "location": taxpayer.location_description[:200],
    }


def branches_at_kra(company_id: int, environment: str) -> list[KraBranch]:
    """The company's branches as KRA has them on its books, fetched daily."""
    return list(KraBranch.objects.filter(company_id=company_id, environment=environment).order_by("code"))


class NoticeUnknown(Exception):
    """KRA has published no such notice in this environment, as far as we have heard."""


def list_notices(
    company_id: int, environment: str, *, unread: bool, limit: int, before: int | None = None
) -> tuple[list[Notice], int | None]:
    """KRA's notices, newest first, each with `is_read`; and the number before which the next page begins."""
    read = NoticeRead.objects.filter(company_id=company_id, notice=OuterRef("pk"))
    notices = Notice.objects.filter(environment=environment).annotate(is_read=Exists(read))
    if unread:
        notices = notices.filter(is_read=False)
    if before is not None:
        notices = notices.filter(number__lt=before)
    rows: list[Notice] = list(notices.order_by("-number")[: limit + 1])
    return rows[:limit], rows[limit - 1].number if len(rows) > limit else None


def read_notice(*, company: Company, environment: str, number: int, actor: str) -> Notice:
    """Note that a company has read a notice. A second time changes nothing. Raises NoticeUnknown."""
    notice = Notice.objects.filter(environment=environment, number=number).first()
    if notice is None:
        raise NoticeUnknown(number)
    NoticeRead.objects.get_or_create(company=company, notice=notice, defaults={"actor": actor})
    return notice
