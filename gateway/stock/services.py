"""Moving stock: opening, adjusting, returns, transfers between branches, production from a recipe.

Each service books in one transaction and may be repeated: the caller's reference names one movement for ever.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from gateway.audit.services import record
from gateway.catalog.models import Item
from gateway.catalog.queries import current_rates
from gateway.devices.models import Device
from gateway.devices.queries import profile_for
from gateway.kra.codes import ProductType, StockReason, TaxClass
from gateway.kra.profiles import Profile
from gateway.kra.tax import TaxInputError
from gateway.lanes import local
from gateway.lanes.actions import lock_lane, lock_lanes
from gateway.lanes.models import Job, Lane
from gateway.lanes.services import lane_for, queue_job
from gateway.stock.amounts import goods_amounts
from gateway.stock.booking import BOOK, JOB_KIND, booking_row, run, run_read
from gateway.stock.models import Balance, Component, Movement, Policy
from gateway.stock.statements import HELD
from gateway.tenants.models import Branch, Company

ZERO = Decimal(0)
_SERVICE = ProductType.SERVICE.value


@dataclass(frozen=True, slots=True)
class Goods:
    """So much of an item; its price with tax (KES), None for the item's own."""

    item_code: str
    quantity: Decimal
    unit_price: Decimal | None = None


class Wrong(NamedTuple):
    """What is wrong with a field such as `lines[0].quantity`."""

    field: str
    code: str
    message: str


class StockRefused(Exception):
    """The movement cannot be booked as it is; nothing was written."""

    def __init__(self, wrongs: Sequence[Wrong]) -> None:
        super().__init__("; ".join(f"{wrong.field}: {wrong.message}" for wrong in wrongs))
        self.wrongs = list(wrongs)


class StockReferenceReused(Exception):
    """The reference names another movement."""


class NotRefused(Exception):
    """Only a movement that KRA refused can be sent again."""


class Booked(NamedTuple):
    movement: Movement
    replayed: bool


def move_stock(
    *,
    company: Company,
    environment: str,
    branch: str,
    reason: StockReason,
    reference: str,
    goods: Sequence[Goods],
    occurred_on: date,
    remark: str = "",
    is_opening: bool = False,
    known_at_kra: bool = False,
    counterparty_pin: str = "",
    counterparty_name: str = "",
    by: str,
) -> Booked:
    """Book one movement of a branch: an opening, an adjustment, a return, something thrown away.

    Raises StockRefused, StockReferenceReused. An opening is the first thing that happens to an item in a branch;
    `known_at_kra`: KRA counts these goods already, and is not told of them.
    """
    asked = {"branch": branch, "reason": reason, "remark": remark, "is_opening": is_opening, "goods": _plain(goods)}
    asked |= {"pin": counterparty_pin, "name": counterparty_name, "on": occurred_on.isoformat()}
    asked |= {"known_at_kra": True} if known_at_kra else {}
    cause, fingerprint = f"own:{reference}", _fingerprint(asked)
    with transaction.atomic():
        place = place_of(company, environment, branch, "branch")
        if known := _known(company, environment, cause, fingerprint):
            return Booked(known, replayed=True)
        lines = _lines(company, environment, goods, place.profile)
        if is_opening:
            _must_be_new(place.lane, goods)
        if not reason.is_in:
            _must_be_there(place, goods)
        more: dict[str, Any] = {"is_opening": is_opening, "counterparty_pin": counterparty_pin}
        more |= {"counterparty_name": counterparty_name, "remark": remark, "fingerprint": fingerprint, "actor": by}
        movement = _book(place, cause, reason, occurred_on, lines, tells_kra=not known_at_kra, **more)
        if known_at_kra:
            Balance.objects.filter(entries__movement=movement).update(kra_quantity=F("quantity"))
        return Booked(movement, replayed=False)


def transfer_stock(
    *,
    company: Company,
    environment: str,
    from_branch: str,
    to_branch: str,
    reference: str,
    goods: Sequence[Goods],
    occurred_on: date,
    remark: str = "",
    by: str,
) -> tuple[Booked, Booked]:
    """Move goods from one branch to another: out of the one, and into the other once KRA has recorded that.

    Raises StockRefused, StockReferenceReused.
    """
    if from_branch == to_branch:
        raise StockRefused([Wrong("to_branch", "same_branch", "Must be another branch than from_branch.")])
    asked = {"from": from_branch, "to": to_branch, "remark": remark, "goods": _plain(goods)}
    fingerprint = _fingerprint(asked | {"on": occurred_on.isoformat()})
    out_cause, in_cause = f"own:{reference}", f"own:{reference}:in"
    with transaction.atomic():
        places = _places_of(company, environment, {from_branch: "from_branch", to_branch: "to_branch"})
        if known := _known(company, environment, out_cause, fingerprint):
            return Booked(known, True), Booked(_movement(company, environment, in_cause), True)
        source, target = places[from_branch], places[to_branch]
        lines = _lines(company, environment, goods, source.profile)
        _must_be_there(source, goods)
        own = {"counterparty_pin": company.pin, "counterparty_name": company.name[:60]}
        told: dict[str, Any] = {**own, "remark": remark, "fingerprint": fingerprint, "actor": by}
        left = _book(
            source, out_cause, StockReason.TRANSFER_OUT, occurred_on, lines, counterparty_branch=to_branch, **told
        )
        came = _book(
            target,
            in_cause,
            StockReason.TRANSFER_IN,
            occurred_on,
            lines,
            counterparty_branch=from_branch,
            partner_id=left.pk,
            **told,
        )
        return Booked(left, False), Booked(came, False)


def produce(
    *,
    company: Company,
    environment: str,
    branch: str,
    reference: str,
    item_code: str,
    quantity: Decimal,
    occurred_on: date,
    remark: str = "",
    by: str,
) -> tuple[Booked, Booked]:
    """Make so much of an item by its recipe: the components leave the stock, then the product comes in.

    Raises StockRefused, StockReferenceReused.
    """
    asked = {"branch": branch, "item": item_code, "quantity": str(quantity.normalize()), "remark": remark}
    fingerprint = _fingerprint(asked | {"on": occurred_on.isoformat()})
    out_cause, in_cause = f"own:{reference}", f"own:{reference}:in"
    with transaction.atomic():
        place = place_of(company, environment, branch, "branch")
        if known := _known(company, environment, out_cause, fingerprint):
            return Booked(known, True), Booked(_movement(company, environment, in_cause), True)
        recipe = list(
            Component.objects.select_related("component").filter(
                item__company=company, item__environment=environment, item__code=item_code
            )
        )
        if not recipe:
            raise StockRefused([Wrong("item_code", "no_recipe", f"{item_code} has no recipe; give it one first.")])
        parts = [Goods(part.component.code, part.quantity * quantity) for part in recipe]
        try:
            consumed = _lines(company, environment, parts, place.profile)
            _must_be_there(place, parts)
        except StockRefused as refused:
            raise StockRefused([wrong._replace(field="item_code") for wrong in refused.wrongs]) from None
        try:
            made = _lines(company, environment, [Goods(item_code, quantity)], place.profile)
        except StockRefused as refused:
            names = {"item_code": "item_code", "quantity": "quantity"}
            raise StockRefused(
                [wrong._replace(field=names.get(wrong.field.split(".")[-1], "item_code")) for wrong in refused.wrongs]
            ) from None
        told: dict[str, Any] = {"remark": remark, "fingerprint": fingerprint, "actor": by}
        left = _book(place, out_cause, StockReason.CONSUMED_OUT, occurred_on, consumed, **told)
        came = _book(place, in_cause, StockReason.PRODUCED_IN, occurred_on, made, partner_id=left.pk, **told)
        return Booked(left, False), Booked(came, False)


@transaction.atomic
def retry_movement(*, movement: Movement, by: str) -> Movement:
    """Put a movement that KRA refused back into its lane, unchanged. Raises NotRefused."""
    lane = lock_lane(movement.lane_id)
    movement = Movement.objects.select_related("company", "lane").get(pk=movement.pk)
    changed = Movement.objects.filter(pk=movement.pk, status=Movement.Status.REFUSED).update(
        status=Movement.Status.QUEUED, problem=None, settled_at=None
    )
    if not changed:
        raise NotRefused(movement.status)
    record(
        movement.company,
        "stock.retried",
        subject=movement.public_id,
        environment=movement.environment,
        actor=by,
        cause=movement.cause,
        problem=movement.problem,
    )
    queue_job(lane, kind=JOB_KIND, document_id=movement.pk)
    movement.refresh_from_db(fields=["status", "problem", "settled_at"])
    return movement


@transaction.atomic
def set_policy(*, company: Company, environment: str, allow_negative_stock: bool, by: str) -> Policy:
    """Say whether a company may sell and move more than it has. The same again changes nothing."""
    policy, _ = Policy.objects.select_for_update(no_key=True).get_or_create(company=company, environment=environment)
    before = policy.allow_negative_stock
    if before == allow_negative_stock:
        return policy
    policy.allow_negative_stock = allow_negative_stock
    policy.save(update_fields=["allow_negative_stock"])
    record(
        company,
        "stock.policy_changed",
        subject=company.public_id,
        environment=environment,
        actor=by,
        before={"allow_negative_stock": before},
        after={"allow_negative_stock": allow_negative_stock},
    )
    return policy


def allows_negative(company_id: int, environment: str) -> bool:
    """Whether a company may sell and move more than it has; yes unless it says no."""
    kept = Policy.objects.filter(company=company_id, environment=environment).values_list(
        "allow_negative_stock", flat=True
    )
    return next(iter(kept), True)


def goods_lines(company: Company, environment: str, goods: Sequence[Goods], branch: str) -> list[dict[str, Any]]:
    """Lines for a booking that another document will make later. Raises StockRefused."""
    return _lines(company, environment, goods, _device_in(company, environment, branch, "branch")[1])


class Place(NamedTuple):
    """A branch's stock, its lane locked."""

    company: Company
    environment: str
    lane: Lane
    profile: Profile


def _device_in(company: Company, environment: str, branch: str, field: str) -> tuple[Device, Profile]:
    if not Branch.objects.filter(company=company, code=branch).exists():
        raise StockRefused([Wrong(field, "unknown_branch", f"The company has no branch {branch}.")])
    devices = Device.objects.select_related("company", "branch").filter(
        company=company, environment=environment, branch__code=branch
    )
    device = devices.exclude(status=Device.Status.RETIRED).order_by("status", "pk").first()
    if device is None:
        raise StockRefused([Wrong(field, "no_device", f"Branch {branch} has no device that could tell KRA.")])
    return device, profile_for(device)


def place_of(company: Company, environment: str, branch: str, field: str) -> Place:
    """A branch's stock, locked until the transaction ends. Raises StockRefused that names the field."""
    return _places_of(company, environment, {branch: field})[branch]


def _places_of(company: Company, environment: str, fields: Mapping[str, str]) -> dict[str, Place]:
    """The stock of several branches, each with the field that names it, locked in the order in which everybody does."""
    profiles = {code: _device_in(company, environment, code, field)[1] for code, field in sorted(fields.items())}
    own = [lane_for(company, environment=environment, branch=code, series=Lane.Series.STOCK).pk for code in profiles]
    return {lane.branch: Place(company, environment, lane, profiles[lane.branch]) for lane in lock_lanes(own).values()}


def _movement(company: Company, environment: str, cause: str) -> Movement:
    return Movement.objects.get(company=company, environment=environment, cause=cause)


def _known(company: Company, environment: str, cause: str, fingerprint: str) -> Movement | None:
    known = Movement.objects.filter(company=company, environment=environment, cause=cause).first()
    if known is not None and known.fingerprint != fingerprint:
        raise StockReferenceReused(cause.partition(":")[2])
    return known


def _lines(company: Company, environment: str, goods: Sequence[Goods], profile: Profile) -> list[dict[str, Any]]:
    """What KRA gets to read of the goods, frozen now. Raises StockRefused with everything that is wrong."""
    items = {
        item.code: item
        for item in Item.objects.filter(
            company=company, environment=environment, code__in={one.item_code for one in goods}
        )
    }
    rates = {TaxClass(letter): rate for letter, rate in current_rates(environment).items()}
    wrongs: list[Wrong] = []
    lines: list[dict[str, Any]] = []
    for place, one in enumerate(goods):
        at, item = f"lines[{place}]", items.get(one.item_code)
        if item is None:
            wrongs.append(Wrong(f"{at}.item_code", "unknown_item", f"{one.item_code} is not registered."))
            continue
        if item.product_type == _SERVICE:
            wrongs.append(Wrong(f"{at}.item_code", "not_goods", f"{item.code} is a service; it has no stock."))
            continue
        if not item.kra_code:
            wrongs.append(
                Wrong(f"{at}.item_code", "item_not_registered", f"KRA has not registered {item.code} yet; wait for it.")
            )
            continue
        price = item.price if one.unit_price is None else one.unit_price
        if not price:
            wrongs.append(Wrong(f"{at}.unit_price", "missing", f"{item.code} has no price; say what one is worth."))
            continue
        try:
            amounts = goods_amounts(one.quantity, price, TaxClass(item.tax_type), profile, rates)
        except TaxInputError as error:
            wrongs.append(Wrong(f"{at}.{error.field}", error.code, f"{error.message[:1].upper()}{error.message[1:]}."))
            continue
        lines.append(
            {
                "item_code": item.code,
                "kra_code": item.kra_code,
                "item_class": item.item_class,
                "name": item.name,
                "packaging_unit": item.packaging_unit,
                "quantity_unit": item.quantity_unit,
                "barcode": item.barcode or None,
                "tax_type": item.tax_type,
                "quantity": format(one.quantity.normalize(), "f"),
                **{name: str(getattr(amounts, name)) for name in amounts.__struct_fields__},
            }
        )
    if wrongs:
        raise StockRefused(wrongs)
    return lines


def _must_be_new(lane: Lane, goods: Sequence[Goods]) -> None:
    codes = [one.item_code for one in goods]
    known = set(Balance.objects.filter(lane=lane, item__code__in=codes).values_list("item__code", flat=True))
    wrongs = [
        Wrong(f"lines[{place}].item_code", "opened_already", f"{code} has stock here already; adjust it instead.")
        for place, code in enumerate(codes)
        if code in known or code in codes[:place]
    ]
    if wrongs:
        raise StockRefused(wrongs)


def _must_be_there(place: Place, goods: Sequence[Goods]) -> None:
    """Refuse to move more than there is and not promised to sales, where the company or its KRA wants it so."""
    if not place.profile.stock_first and allows_negative(place.company.pk, place.environment):
        return
    codes = sorted({one.item_code for one in goods})
    rows = run_read(HELD, {"lane_id": place.lane.pk, "codes": codes})
    held = {row["code"]: Decimal(row["quantity"] - row["promised"]).scaleb(-3) for row in rows}
    wrongs = []
    for position, one in enumerate(goods):
        left = held.get(one.item_code, ZERO)
        held[one.item_code] = left - one.quantity
        if left < one.quantity:
            has = plain_quantity(max(left, ZERO))
            message = f"There are {has} of {one.item_code} here, not {plain_quantity(one.quantity)}."
            wrongs.append(Wrong(f"lines[{position}].quantity", "insufficient_stock", message))
    if wrongs:
        raise StockRefused(wrongs)


def _book(
    place: Place, cause: str, reason: StockReason, occurred_on: date, lines: list[dict[str, Any]], **more: Any
) -> Movement:
    row = booking_row(
        cause=cause,
        company_id=place.company.pk,
        environment=place.environment,
        beside_lane_id=place.lane.pk,
        reason=reason.value,
        occurred_on=occurred_on.isoformat(),
        lines=lines,
        **more,
    )
    run(BOOK, row)
    wake_stock(place.lane.pk)
    return _movement(place.company, place.environment, cause)


def book_lines(
    place: Place, cause: str, reason: StockReason, occurred_on: date, goods: Sequence[Goods], **more: Any
) -> Movement:
    """Book goods under a cause that is new. Raises StockRefused."""
    lines = _lines(place.company, place.environment, goods, place.profile)
    return _book(place, cause, reason, occurred_on, lines, **more)


def wake_stock(lane_id: int) -> None:
    """Let somebody look at a lane into which a job was put; call it inside the booking's transaction."""
    if Job.objects.filter(lane_id=lane_id).exclude(state=Job.State.CLOSED).exists():
        Lane.objects.filter(pk=lane_id).update(due_at=Coalesce("due_at", Now()))
        transaction.on_commit(lambda: local.wake(lane_id))


def plain_quantity(quantity: Decimal) -> str:
    """A quantity as people write it: no zeros at the end, no exponent."""
    return format(quantity.normalize() + 0, "f")


def _plain(goods: Sequence[Goods]) -> list[list[str | None]]:
    return [
        [
            one.item_code,
            str(one.quantity.normalize()),
            None if one.unit_price is None else str(one.unit_price.normalize()),
        ]
        for one in goods
    ]


def _fingerprint(asked: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
