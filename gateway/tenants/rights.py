"""Who may do what: one table of rights, which every door asks. `docs/reference/roles.md` shows it to people.

Company roles act in their own company, operator roles in the companies of their organisation.
"""

from enum import StrEnum
from typing import NamedTuple

from gateway.tenants.models import OperatorRole, Role


class Right(StrEnum):
    """Something that a person or a key may or may not do."""

    READ = "read"
    SELL = "sell"
    CREDIT = "credit"
    CLOSE_DAY = "close_day"
    MANAGE_ITEMS = "manage_items"
    MANAGE_STOCK = "manage_stock"
    MANAGE_PURCHASES = "manage_purchases"
    EXPORT = "export"
    READ_JOURNAL = "read_journal"
    MANAGE_DEVICES = "manage_devices"
    MANAGE_BRANCHES = "manage_branches"
    MANAGE_KEYS = "manage_keys"
    MANAGE_PEOPLE = "manage_people"
    SWITCH_ENVIRONMENT = "switch_environment"
    READ_COMPANIES = "read_companies"
    ONBOARD = "onboard"
    SET_COMPANY_STATUS = "set_company_status"
    ALLOW_LATE_CREDITS = "allow_late_credits"


class Grant(NamedTuple):
    """What a right is for, and who has it."""

    words: str
    roles: frozenset[Role] = frozenset()
    operators: frozenset[OperatorRole] = frozenset()


def _only(*roles: Role) -> frozenset[Role]:
    return frozenset(roles)


def _staff(*roles: OperatorRole) -> frozenset[OperatorRole]:
    return frozenset(roles)


_OWNER, _MANAGER, _ACCOUNTANT, _CASHIER = Role.OWNER, Role.MANAGER, Role.ACCOUNTANT, Role.CASHIER
_ADMIN, _SUPPORT = OperatorRole.ADMIN, OperatorRole.SUPPORT
_BOOKS = _only(_OWNER, _MANAGER, _ACCOUNTANT)

RIGHTS: dict[Right, Grant] = {
    Right.READ: Grant("see invoices, receipts, items, stock, devices and the company itself", frozenset(Role)),
    Right.SELL: Grant("post sales, ask again for a refused one, withdraw one", _only(_OWNER, _MANAGER, _CASHIER)),
    Right.CREDIT: Grant("post credit notes", _BOOKS),
    Right.CLOSE_DAY: Grant("take the Z report, note cash put in or taken out", _BOOKS | {_CASHIER}),
    Right.MANAGE_ITEMS: Grant("register and change items", _only(_OWNER, _MANAGER)),
    Right.MANAGE_STOCK: Grant("move, count and adjust stock", _only(_OWNER, _MANAGER)),
    Right.MANAGE_PURCHASES: Grant("accept or reject purchases and imports", _BOOKS),
    Right.EXPORT: Grant("take data out in files", _BOOKS | {Role.REVENUE_OFFICER}),
    Right.READ_JOURNAL: Grant(
        "see who did what, calls and messages to KRA", _BOOKS | {Role.REVENUE_OFFICER}, frozenset(OperatorRole)
    ),
    Right.MANAGE_DEVICES: Grant(
        "add, activate, replace and retire devices", _only(_OWNER, _MANAGER), _staff(_ADMIN, _SUPPORT)
    ),
    Right.MANAGE_BRANCHES: Grant(
        "add and change branches, and the logo on receipts", _only(_OWNER, _MANAGER), _staff(_ADMIN, _SUPPORT)
    ),
    Right.MANAGE_KEYS: Grant("make, rotate and revoke API keys", _only(_OWNER, _MANAGER), _staff(_ADMIN)),
    Right.MANAGE_PEOPLE: Grant("invite people, change their role, take them out", _only(_OWNER), _staff(_ADMIN)),
    Right.SWITCH_ENVIRONMENT: Grant("go live, or back to the sandbox", _only(_OWNER), _staff(_ADMIN)),
    Right.READ_COMPANIES: Grant("list companies and see each", operators=frozenset(OperatorRole)),
    Right.ONBOARD: Grant("onboard companies", operators=_staff(_ADMIN, _SUPPORT)),
    Right.ALLOW_LATE_CREDITS: Grant("allow a credit note after its time is over", operators=_staff(_ADMIN, _SUPPORT)),
    Right.SET_COMPANY_STATUS: Grant("suspend, close and reactivate companies", operators=_staff(_ADMIN)),
}

_HOLDERS: dict[Right, frozenset[str]] = {
    right: frozenset(str(role) for role in (*grant.roles, *grant.operators)) for right, grant in RIGHTS.items()
}


def may(role: str, right: Right) -> bool:
    """Whether a company role or an operator role has a right."""
    return role in _HOLDERS[right]


def rights_of(role: str) -> frozenset[Right]:
    """All that a role may do."""
    return frozenset(right for right, holders in _HOLDERS.items() if role in holders)
