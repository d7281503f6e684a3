"""A company's branches."""

from typing import Any

from ninja import Router, Schema, Status
from pydantic import Field

from gateway.api.auth import Operator, Principal
from gateway.api.lists import only_these
from gateway.api.problems import Problem
from gateway.api.request import EitherRequest, either_key, must, must_be_active, the_company
from gateway.api.shapes import Address, Body, BranchCode, Message, ShortName
from gateway.audit.services import record
from gateway.tenants.companies import change_branch, open_branch
from gateway.tenants.models import Branch, Company
from gateway.tenants.rights import Right

router = Router(tags=["companies"])
_FACTS = ("name", "address", "city", "top_message", "bottom_message")


class BranchDetail(Schema):
    """A place of business. The messages are printed on receipts."""

    code: str
    name: str
    address: str
    city: str
    top_message: str
    bottom_message: str


class BranchList(Schema):
    """All branches, by code; a company has at most a hundred."""

    branches: list[BranchDetail]


class BranchChange(Body):
    """What is left out stays as it is."""

    name: ShortName | None = None
    address: Address | None = None
    city: ShortName | None = None
    top_message: Message | None = Field(None, description="Above the items of a receipt.")
    bottom_message: Message | None = Field(None, description="At the end of a receipt.")


class BranchNew(BranchChange):
    code: BranchCode = Field(description="KRA's two digits; 00 is the head office.")


def _out(branch: Branch) -> dict[str, Any]:
    return {"code": branch.code, **{name: getattr(branch, name) for name in _FACTS}}


def _facts(body: BranchChange) -> dict[str, str]:
    return {name: value for name in _FACTS if (value := getattr(body, name)) is not None}


def _seen(caller: Principal | Operator, id: str) -> Company:
    """The company, for who only looks."""
    found = the_company(caller, id)
    must(caller, Right.READ if isinstance(caller, Principal) else Right.READ_COMPANIES)
    return found


def _managed(caller: Principal | Operator, id: str) -> Company:
    """The company, for who changes its branches."""
    found = the_company(caller, id)
    must(caller, Right.MANAGE_BRANCHES)
    must_be_active(caller, found)
    return found


@router.get(
    "/companies/{id}/branches/",
    response=BranchList,
    auth=either_key,
    operation_id="list_branches",
    summary="List branches",
)
def branches(request: EitherRequest, id: str) -> dict[str, Any]:
    """The company's branches."""
    only_these(request)
    return {"branches": [_out(branch) for branch in _seen(request.auth, id).branches.order_by("code")]}


@router.post(
    "/companies/{id}/branches/",
    response={201: BranchDetail},
    auth=either_key,
    operation_id="add_branch",
    summary="Add a branch",
)
def add(request: EitherRequest, id: str, body: BranchNew) -> Status[dict[str, Any]]:
    """A new branch. It sells when it has a device; its invoices have numbers of their own."""
    found = _managed(request.auth, id)
    branch = open_branch(found, code=body.code, facts=_facts(body), actor=request.auth.actor, journal=record)
    return Status(201, _out(branch))


@router.put(
    "/companies/{id}/branches/{code}/",
    response=BranchDetail,
    auth=either_key,
    operation_id="change_branch",
    summary="Change a branch",
)
def change(request: EitherRequest, id: str, code: str, body: BranchChange) -> dict[str, Any]:
    """Change a branch's name, address or messages. Receipts that are signed keep what they say."""
    found = _managed(request.auth, id)
    branch = found.branches.filter(code=code[:2]).first() if len(code) == 2 and code.isdigit() else None
    if branch is None:
        raise Problem("not_found", "The company has no such branch.")
    return _out(change_branch(branch, facts=_facts(body), actor=request.auth.actor, journal=record))
