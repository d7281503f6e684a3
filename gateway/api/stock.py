"""Stock: what each branch has, what moved it, and where KRA counts otherwise."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from gateway.api.lists import Cursor, Limit, only_these
from gateway.api.request import ApiRequest, active_company, must
from gateway.api.shapes import (
    Amount,
    Body,
    BranchCode,
    Day,
    Difference,
    ItemCode,
    Pin,
    Quantity,
    Reference,
    Remark,
    ShortName,
)
from gateway.kra.codes import StockReason
from gateway.lib.clock import NAIROBI
from gateway.stock.models import Balance, Movement
from gateway.stock.queries import Drift, drifts, list_balances, list_movements
from gateway.stock.recipes import PartIn, Recipe, read_recipe, set_recipe
from gateway.stock.repairs import Stands, repair_drift
from gateway.stock.services import (
    Booked,
    Goods,
    allows_negative,
    move_stock,
    plain_quantity,
    produce,
    retry_movement,
    set_policy,
    transfer_stock,
)
from gateway.tenants.rights import Right

router = Router(tags=["stock"])
MOST_LINES = 999
ReasonWord = Literal[
    "import_in",
    "purchase_in",
    "return_in",
    "transfer_in",
    "produced_in",
    "adjustment_in",
    "sale_out",
    "return_out",
    "transfer_out",
    "consumed_out",
    "discarded_out",
    "adjustment_out",
]
StatusWord = Literal["queued", "sending", "unknown", "reported", "done", "refused", "local"]


class GoodsIn(Body):
    item_code: ItemCode
    quantity: Quantity
    unit_price: Amount | None = Field(None, description="With tax; the item's own price when left out.")


class MoveIn(Body):
    reference: Reference = Field(description="Your own number of this movement. The same number is the same movement.")
    lines: Annotated[list[GoodsIn], Field(min_length=1, max_length=MOST_LINES)]
    occurred_on: Day | None = Field(None, description="Today when left out.")
    remark: Remark = ""


class OpeningIn(MoveIn):
    branch: BranchCode
    known_at_kra: bool = Field(
        False, description="KRA counts these goods already, from another system; it would add them once more."
    )


class AdjustmentIn(MoveIn):
    branch: BranchCode
    reason: Literal["adjustment_in", "adjustment_out", "discarded_out", "return_in", "return_out"]
    counterparty_pin: Pin | None = Field(None, description="Who brought it back or got it back.")
    counterparty_name: ShortName = ""


class TransferIn(MoveIn):
    from_branch: BranchCode
    to_branch: BranchCode


class ProductionIn(Body):
    reference: Reference
    branch: BranchCode
    item_code: ItemCode
    quantity: Quantity
    occurred_on: Day | None = None
    remark: Remark = ""


class RecipePartIn(Body):
    item_code: ItemCode
    quantity: Quantity = Field(description="How much of it goes into one unit of the product.")


class RecipeIn(Body):
    components: Annotated[list[RecipePartIn], Field(min_length=1, max_length=100)]


class PolicyIn(Body):
    allow_negative_stock: bool


class RepairIn(Body):
    branch: BranchCode
    item_code: ItemCode
    difference: Difference = Field(description="The difference as the report shows it: it is what you confirm.")
    stands: Literal["ours", "kra"] = Field(
        description="ours: KRA is told a correction. kra: our ledger is corrected to KRA's figure."
    )
    remark: Remark = ""


class BalancesIn(Schema):
    branch: BranchCode | None = None
    item_code: ItemCode | None = None
    limit: Limit = 50
    cursor: Cursor = None


class MovementsIn(Schema):
    branch: BranchCode | None = None
    item_code: ItemCode | None = None
    status: StatusWord | None = None
    reason: ReasonWord | None = None
    limit: Limit = 50
    cursor: Cursor = None


class DriftIn(Schema):
    branch: BranchCode | None = None
    item_code: ItemCode | None = None


class BalanceOut(Schema):
    """`quantity` is opening + received - issued. `at_kra` is what KRA has recorded of it so far."""

    branch: str
    item_code: str
    name: str
    opening: str
    received: str
    issued: str
    quantity: str
    at_kra: str


class BalancesOut(Schema):
    balances: list[BalanceOut]
    next: str | None


class MovedLine(Schema):
    item_code: str
    quantity: str
    unit_price: str
    total: str


class MovementOut(Schema):
    """`number` is KRA's. `status`: queued, sending, unknown (KRA's answer is missing), reported (the balance follows),
    done, refused, or local (not for KRA)."""

    id: UUID
    branch: str
    reason: ReasonWord
    status: StatusWord
    reference: str
    occurred_on: date
    number: int | None
    lines: list[MovedLine]
    remark: str
    counterparty_branch: str | None
    is_opening: bool
    only_at_kra: bool = Field(description="A correction of KRA's figure; our own did not change.")
    problem: dict[str, Any] | None
    booked_at: datetime


class MovementsOut(Schema):
    movements: list[MovementOut]
    next: str | None


class PairOut(Schema):
    out: MovementOut
    into: MovementOut


class DriftLine(Schema):
    """`difference` is ours less KRA's, without what is still on its way."""

    branch: str
    item_code: str
    name: str
    ours: str
    at_kra: str
    on_its_way: str
    difference: str
    kra_said: str | None
    kra_said_at: datetime | None
    refused: list[MovementOut]
    proposal: str


class DriftOut(Schema):
    items: list[DriftLine]


class PartOut(Schema):
    item_code: str
    quantity: str
    told_at: datetime | None
    problem: dict[str, Any] | None


class RecipeOut(Schema):
    item_code: str
    components: list[PartOut]


class PolicyOut(Schema):
    allow_negative_stock: bool


@router.get("/stock/balances/", response=BalancesOut, operation_id="list_stock", summary="What each branch has")
def balances(request: ApiRequest, wanted: Query[BalancesIn]) -> dict[str, Any]:
    """The items that are kept in stock, by branch and code."""
    must(request.auth, Right.READ)
    only_these(request, BalancesIn)
    page = list_balances(
        request.auth.company_id,
        request.auth.environment,
        branch=wanted.branch,
        item=wanted.item_code,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"balances": [_balance(row) for row in page.rows], "next": page.next}


@router.get("/stock/movements/", response=MovementsOut, operation_id="list_movements", summary="What moved stock")
def movements(request: ApiRequest, wanted: Query[MovementsIn]) -> dict[str, Any]:
    """Movements of stock, newest first; those that sales made too."""
    must(request.auth, Right.READ)
    only_these(request, MovementsIn)
    page = list_movements(
        request.auth.company_id,
        request.auth.environment,
        branch=wanted.branch,
        item=wanted.item_code,
        status=wanted.status,
        reason=StockReason.from_word(wanted.reason).value if wanted.reason else None,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )
    return {"movements": [_movement(row) for row in page.rows], "next": page.next}


@router.post(
    "/stock/movements/{id}/retry/", response=MovementOut, operation_id="retry_movement", summary="Tell KRA once more"
)
def retry(request: ApiRequest, id: UUID) -> dict[str, Any]:
    """Send a movement that KRA refused once more, unchanged."""
    must(request.auth, Right.MANAGE_STOCK)
    active_company(request.auth)
    return _movement(retry_movement(movement=_find(request, id), by=request.auth.actor))


@router.post(
    "/stock/opening/",
    response={200: MovementOut, 201: MovementOut},
    operation_id="open_stock",
    summary="Opening stock",
)
def opening(request: ApiRequest, body: OpeningIn) -> Status[dict[str, Any]]:
    """What a branch has when it begins to keep stock here. Each item of a branch is opened once."""
    return _move(request, body, body.branch, StockReason.ADJUSTMENT_IN, is_opening=True, known_at_kra=body.known_at_kra)


@router.post(
    "/stock/adjustments/",
    response={200: MovementOut, 201: MovementOut},
    operation_id="adjust_stock",
    summary="Adjust stock, take goods back, throw away",
)
def adjustment(request: ApiRequest, body: AdjustmentIn) -> Status[dict[str, Any]]:
    """A movement that no document of ours explains: a count, a return, breakage."""
    more = {"counterparty_pin": body.counterparty_pin or "", "counterparty_name": body.counterparty_name}
    return _move(request, body, body.branch, StockReason.from_word(body.reason), **more)


@router.post(
    "/stock/transfers/",
    response={200: PairOut, 201: PairOut},
    operation_id="transfer_stock",
    summary="Move goods to another branch",
)
def transfer(request: ApiRequest, body: TransferIn) -> Status[dict[str, Any]]:
    """Out of one branch and into another. KRA is told of the arrival once it has recorded the departure."""
    left, came = transfer_stock(
        **_asked(request, body), from_branch=body.from_branch, to_branch=body.to_branch, goods=_goods(body)
    )
    return _pair(left, came)


@router.post(
    "/stock/production/",
    response={200: PairOut, 201: PairOut},
    operation_id="produce",
    summary="Make goods by their recipe",
)
def production(request: ApiRequest, body: ProductionIn) -> Status[dict[str, Any]]:
    """The components of the item's recipe leave the stock, the product comes in."""
    left, came = produce(**_asked(request, body), branch=body.branch, item_code=body.item_code, quantity=body.quantity)
    return _pair(left, came)


@router.put("/stock/recipes/{code}/", response=RecipeOut, operation_id="set_recipe", summary="What an item is made of")
def put_recipe(request: ApiRequest, code: str, body: RecipeIn) -> dict[str, Any]:
    """Replace the recipe of an item; KRA is told of each component."""
    must(request.auth, Right.MANAGE_STOCK)
    company = active_company(request.auth)
    if read_recipe(company.pk, request.auth.environment, code) is None:
        raise Http404
    recipe = set_recipe(
        company=company,
        environment=request.auth.environment,
        item_code=code,
        parts=[PartIn(part.item_code, part.quantity) for part in body.components],
        by=request.auth.actor,
    )
    return _recipe(recipe)


@router.get("/stock/recipes/{code}/", response=RecipeOut, operation_id="get_recipe", summary="An item's recipe")
def get_recipe(request: ApiRequest, code: str) -> dict[str, Any]:
    """What one unit of an item is made of; an item that is not made has no components."""
    must(request.auth, Right.READ)
    only_these(request)
    recipe = read_recipe(request.auth.company_id, request.auth.environment, code)
    if recipe is None:
        raise Http404
    return _recipe(recipe)


@router.get("/stock/policy/", response=PolicyOut, operation_id="get_stock_policy", summary="How stock is kept")
def get_policy(request: ApiRequest) -> dict[str, Any]:
    """Whether more may be sold and moved than there is."""
    must(request.auth, Right.READ)
    only_these(request)
    return {"allow_negative_stock": allows_negative(request.auth.company_id, request.auth.environment)}


@router.put("/stock/policy/", response=PolicyOut, operation_id="set_stock_policy", summary="Say how stock is kept")
def put_policy(request: ApiRequest, body: PolicyIn) -> dict[str, Any]:
    """Allow or refuse sales and movements of more than there is. Where KRA compares stock, it is always refused."""
    must(request.auth, Right.MANAGE_STOCK)
    policy = set_policy(
        company=active_company(request.auth),
        environment=request.auth.environment,
        allow_negative_stock=body.allow_negative_stock,
        by=request.auth.actor,
    )
    return {"allow_negative_stock": policy.allow_negative_stock}


@router.get("/stock/drift/", response=DriftOut, operation_id="stock_drift", summary="Where KRA counts otherwise")
def drift(request: ApiRequest, wanted: Query[DriftIn]) -> dict[str, Any]:
    """Items whose stock at KRA is not what you have, and will not become so by itself. Empty when all agrees."""
    must(request.auth, Right.READ)
    only_these(request, DriftIn)
    found = drifts(request.auth.company_id, request.auth.environment, branch=wanted.branch, item=wanted.item_code)
    return {"items": [_drift(one) for one in found]}


@router.post(
    "/stock/drift/repair/", response={201: MovementOut}, operation_id="repair_drift", summary="Put a difference right"
)
def repair(request: ApiRequest, body: RepairIn) -> Status[dict[str, Any]]:
    """Confirm a difference of the report and say whose figure stands."""
    must(request.auth, Right.MANAGE_STOCK)
    movement = repair_drift(
        company=active_company(request.auth),
        environment=request.auth.environment,
        branch=body.branch,
        item_code=body.item_code,
        difference=body.difference,
        stands=Stands(body.stands),
        remark=body.remark,
        now=timezone.now(),
        by=request.auth.actor,
    )
    return Status(201, _movement(movement))


def _move(request: ApiRequest, body: MoveIn, branch: str, reason: StockReason, **more: Any) -> Status[dict[str, Any]]:
    booked = move_stock(**_asked(request, body), branch=branch, reason=reason, goods=_goods(body), **more)
    return Status(200 if booked.replayed else 201, _movement(booked.movement))


def _asked(request: ApiRequest, body: MoveIn | ProductionIn) -> dict[str, Any]:
    """What every movement says: whose it is and which one, when, why, and who asks for it. Refuses who may not."""
    must(request.auth, Right.MANAGE_STOCK)
    return {
        "company": active_company(request.auth),
        "environment": request.auth.environment,
        "reference": body.reference,
        "occurred_on": body.occurred_on or timezone.now().astimezone(NAIROBI).date(),
        "remark": body.remark,
        "by": request.auth.actor,
    }


def _goods(body: MoveIn) -> list[Goods]:
    return [Goods(line.item_code, line.quantity, line.unit_price) for line in body.lines]


def _find(request: ApiRequest, public_id: UUID) -> Movement:
    found = Movement.objects.filter(
        company_id=request.auth.company_id, environment=request.auth.environment, public_id=public_id
    ).first()
    if found is None:
        raise Http404
    return found


def _pair(left: Booked, came: Booked) -> Status[dict[str, Any]]:
    status = 200 if left.replayed else 201
    return Status(status, {"out": _movement(left.movement), "into": _movement(came.movement)})


def _balance(row: Balance) -> dict[str, Any]:
    return {
        "branch": row.lane.branch,
        "item_code": row.item.code,
        "name": row.item.name,
        "opening": plain_quantity(row.opening),
        "received": plain_quantity(row.received),
        "issued": plain_quantity(row.issued),
        "quantity": plain_quantity(row.quantity),
        "at_kra": plain_quantity(row.kra_quantity),
    }


def _movement(row: Movement) -> dict[str, Any]:
    kind, _, name = row.cause.partition(":")
    return {
        "id": row.public_id,
        "branch": row.lane.branch,
        "reason": StockReason(row.reason).word,
        "status": row.status,
        "reference": name.removesuffix(":in") if kind == "own" else row.remark or kind,
        "occurred_on": row.occurred_on,
        "number": row.number,
        "lines": [
            {"item_code": line["item_code"], "quantity": line["quantity"]}
            | {"unit_price": line["unit_price"], "total": line["total"]}
            for line in row.lines
        ],
        "remark": row.remark,
        "counterparty_branch": row.counterparty_branch or None,
        "is_opening": row.is_opening,
        "only_at_kra": not row.counts,
        "problem": row.problem,
        "booked_at": row.booked_at,
    }


def _drift(one: Drift) -> dict[str, Any]:
    row, off = one.balance, one.difference
    side = "in" if off > 0 else "out"
    proposal = f"Tell KRA a correction of {plain_quantity(abs(off))} {side} (stands: ours)."
    if one.refused:
        proposal = "Send the refused movements again (…/retry/); if KRA still refuses them: " + proposal
    return {
        "branch": row.lane.branch,
        "item_code": row.item.code,
        "name": row.item.name,
        "ours": plain_quantity(row.quantity),
        "at_kra": plain_quantity(row.kra_quantity),
        "on_its_way": plain_quantity(one.on_its_way),
        "difference": plain_quantity(off),
        "kra_said": _optional(row.kra_said),
        "kra_said_at": row.kra_said_at,
        "refused": [_movement(movement) for movement in one.refused],
        "proposal": proposal,
    }


def _optional(quantity: Decimal | None) -> str | None:
    return None if quantity is None else plain_quantity(quantity)


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {
        "item_code": recipe.item.code,
        "components": [
            {
                "item_code": part.component.code,
                "quantity": plain_quantity(part.quantity),
                "told_at": part.told_at,
                "problem": part.problem,
            }
            for part in recipe.parts
        ],
    }
