"""One table: every route, who may, and what a stranger gets. A new route without a row fails."""

import json
from typing import Any, NamedTuple

import pytest

from gateway.api.openapi import schema
from gateway.tenants.rights import Right, may
from tests.journeys.house import FILE, ROLES, STAFF, House, seen_in

pytestmark = [pytest.mark.needs_database, pytest.mark.xdist_group("house")]

READ = Right.READ
REFUSALS = {"role_not_allowed", "operator_needed", "key_unknown", "key_missing"}


class Row(NamedTuple):
    """Who may call a route. `right`: of a company's key, None when the route is not for those; `staff` likewise."""

    right: Right | None = None
    staff: Right | None = None
    is_public: bool = False  # for everybody, without a key
    ids: str = "company"  # whose the ids in the path are: the company's, or KRA's lists'


def _both(right: Right) -> Row:
    return Row(right, Right.READ_COMPANIES if right is READ else right)


ROWS: dict[str, Row] = {
    "GET /health/": Row(is_public=True),
    "POST /api/onboard/": Row(staff=Right.ONBOARD),
    # companies
    "GET /api/companies/": Row(staff=Right.READ_COMPANIES),
    "GET /api/companies/{id}/": _both(READ),
    "PUT /api/companies/{id}/status/": Row(staff=Right.SET_COMPANY_STATUS),
    "GET /api/companies/{id}/branches/": _both(READ),
    "POST /api/companies/{id}/branches/": _both(Right.MANAGE_BRANCHES),
    "PUT /api/companies/{id}/branches/{code}/": _both(Right.MANAGE_BRANCHES),
    "GET /api/companies/{id}/keys/": _both(Right.MANAGE_KEYS),
    "POST /api/companies/{id}/keys/": _both(Right.MANAGE_KEYS),
    "POST /api/companies/{id}/keys/{prefix}/rotate/": _both(Right.MANAGE_KEYS),
    "POST /api/companies/{id}/keys/{prefix}/revoke/": _both(Right.MANAGE_KEYS),
    "GET /api/companies/{id}/invitations/": _both(Right.MANAGE_PEOPLE),
    "POST /api/companies/{id}/invitations/": _both(Right.MANAGE_PEOPLE),
    "POST /api/companies/{id}/invitations/{invitation}/resend/": _both(Right.MANAGE_PEOPLE),
    "POST /api/companies/{id}/invitations/{invitation}/revoke/": _both(Right.MANAGE_PEOPLE),
    "GET /api/companies/{id}/members/": _both(Right.MANAGE_PEOPLE),
    "PUT /api/companies/{id}/members/{member}/": _both(Right.MANAGE_PEOPLE),
    "POST /api/companies/{id}/members/{member}/remove/": _both(Right.MANAGE_PEOPLE),
    "GET /api/integration/capabilities/": Row(READ),
    # sales
    "POST /api/sales/": Row(Right.SELL),
    "POST /api/integration/oscu/sales/": Row(Right.SELL),
    "POST /api/integration/vscu/sales/": Row(Right.SELL),
    "GET /api/integration/transactions/{id}/status/": Row(READ),
    "POST /api/integration/transactions/{id}/retry/": Row(Right.SELL),
    "POST /api/integration/transactions/{id}/cancel/": Row(Right.SELL),
    "GET /api/integration/transactions/{id}/credit-notes/": Row(READ),
    "POST /api/integration/transactions/{id}/credit-notes/": Row(Right.CREDIT),
    "POST /api/integration/credit-notes/": Row(Right.CREDIT),
    "POST /api/companies/{id}/late-credits/": Row(staff=Right.ALLOW_LATE_CREDITS),
    "GET /api/invoices/": Row(READ),
    "GET /api/integration/transactions/{id}/receipt/": Row(READ),
    "POST /api/integration/transactions/{id}/receipt/send/": Row(Right.SELL),
    "GET /api/integration/transactions/{id}/receipt/deliveries/": Row(READ),
    "POST /api/integration/receipts/proforma/": Row(Right.SELL),
    "POST /api/integration/receipts/training/": Row(Right.SELL),
    "POST /api/receipts/batches/": Row(Right.EXPORT),
    "GET /api/receipts/batches/": Row(Right.EXPORT),
    "GET /api/receipts/batches/{id}/": Row(Right.EXPORT),
    "GET /api/receipts/batches/{id}/file/": Row(Right.EXPORT),
    "POST /api/companies/{id}/logo/": _both(Right.MANAGE_BRANCHES),
    "GET /api/companies/{id}/logo/": _both(READ),
    "DELETE /api/companies/{id}/logo/": _both(Right.MANAGE_BRANCHES),
    "GET /api/logs/": _both(Right.READ_JOURNAL),
    # closing the day
    "GET /api/reports/x/": Row(READ),
    "POST /api/reports/z/": Row(Right.CLOSE_DAY),
    "GET /api/reports/z/": Row(READ),
    "GET /api/reports/z/{id}/": Row(READ),
    "GET /api/reports/plu/": Row(READ),
    "GET /api/reports/day-end/": Row(READ),
    "PUT /api/reports/day-end/": Row(Right.MANAGE_BRANCHES),
    "GET /api/journal/": Row(READ),
    "GET /api/journal/{id}/": Row(READ),
    "POST /api/journal/exports/": Row(Right.EXPORT),
    "GET /api/journal/exports/": Row(Right.EXPORT),
    "GET /api/journal/exports/{id}/": Row(Right.EXPORT),
    "GET /api/journal/exports/{id}/file/": Row(Right.EXPORT),
    "POST /api/cash-movements/": Row(Right.CLOSE_DAY),
    "GET /api/cash-movements/": Row(READ),
    # devices and environments
    "POST /api/device/init/": _both(Right.MANAGE_DEVICES),
    "GET /api/device/{device}/status/": _both(READ),
    "POST /api/device/{device}/key/": _both(Right.MANAGE_DEVICES),
    "POST /api/device/{device}/replace/": _both(Right.MANAGE_DEVICES),
    "POST /api/device/{device}/retire/": _both(Right.MANAGE_DEVICES),
    "POST /api/companies/{id}/devices/": _both(Right.MANAGE_DEVICES),
    "GET /api/integration/companies/{id}/devices/": _both(READ),
    "GET /api/companies/{id}/checklist/": _both(READ),
    "GET /api/environment/status/": _both(READ),
    "POST /api/environment/switch/": _both(Right.SWITCH_ENVIRONMENT),
    "GET /api/environment/kra-endpoints/": _both(READ),
    "POST /api/environment/test-connectivity/": _both(Right.MANAGE_DEVICES),
    # items
    "POST /api/item/sync/": Row(Right.MANAGE_ITEMS),
    "POST /api/integration/items/sync/": Row(Right.MANAGE_ITEMS),
    "POST /api/items/import/": Row(Right.MANAGE_ITEMS),
    "GET /api/items/": Row(READ),
    "GET /api/integration/companies/{id}/items/": Row(READ),
    "GET /api/items/{id}/": Row(READ),
    "PUT /api/items/{id}/": Row(Right.MANAGE_ITEMS),
    "PATCH /api/items/{id}/": Row(Right.MANAGE_ITEMS),
    "POST /api/items/{id}/retire/": Row(Right.MANAGE_ITEMS),
    "POST /api/items/{id}/restore/": Row(Right.MANAGE_ITEMS),
    "POST /api/items/uploads/": Row(Right.MANAGE_ITEMS),
    "GET /api/items/uploads/": Row(READ),
    "GET /api/items/uploads/template/": Row(READ),
    "GET /api/items/uploads/{id}/": Row(READ),
    "GET /api/items/uploads/{id}/result/": Row(READ),
    "GET /api/classifications/": Row(READ),
    "GET /api/classifications/tree/": Row(READ),
    "GET /api/classifications/suggest/": Row(READ),
    "GET /api/classifications/{code}/": Row(READ, ids="kra"),
    "GET /api/codes/": Row(READ),
    "GET /api/codes/{name}/": Row(READ, ids="kra"),
    # stock, purchases, imports
    "GET /api/stock/balances/": Row(READ),
    "GET /api/stock/movements/": Row(READ),
    "POST /api/stock/movements/{id}/retry/": Row(Right.MANAGE_STOCK),
    "POST /api/stock/opening/": Row(Right.MANAGE_STOCK),
    "POST /api/stock/adjustments/": Row(Right.MANAGE_STOCK),
    "POST /api/stock/transfers/": Row(Right.MANAGE_STOCK),
    "POST /api/stock/production/": Row(Right.MANAGE_STOCK),
    "PUT /api/stock/recipes/{code}/": Row(Right.MANAGE_STOCK),
    "GET /api/stock/recipes/{code}/": Row(READ),
    "GET /api/stock/policy/": Row(READ),
    "PUT /api/stock/policy/": Row(Right.MANAGE_STOCK),
    "GET /api/stock/drift/": Row(READ),
    "POST /api/stock/drift/repair/": Row(Right.MANAGE_STOCK),
    "GET /api/purchases/": Row(READ),
    "POST /api/purchases/": Row(Right.MANAGE_PURCHASES),
    "POST /api/purchases/fetch/": Row(Right.MANAGE_PURCHASES),
    "POST /api/purchases/bills/": Row(Right.MANAGE_PURCHASES),
    "GET /api/purchases/bills/": Row(READ),
    "GET /api/purchases/missing/": Row(READ),
    "GET /api/purchases/{id}/": Row(READ),
    "POST /api/purchases/{id}/accept/": Row(Right.MANAGE_PURCHASES),
    "POST /api/purchases/{id}/reject/": Row(Right.MANAGE_PURCHASES),
    "GET /api/imports/": Row(READ),
    "POST /api/imports/fetch/": Row(Right.MANAGE_PURCHASES),
    "GET /api/imports/{id}/": Row(READ),
    "POST /api/imports/{id}/approve/": Row(Right.MANAGE_PURCHASES),
    "POST /api/imports/{id}/reject/": Row(Right.MANAGE_PURCHASES),
    # what KRA knows
    "GET /api/lookups/pin/{pin}/": Row(READ, ids="kra"),
    "GET /api/lookups/branches/": Row(READ),
    "GET /api/notices/": Row(READ),
    "POST /api/notices/{number}/read/": Row(Right.MANAGE_ITEMS, ids="kra"),
    "POST /api/customers/": Row(Right.MANAGE_ITEMS),
    "GET /api/customers/": Row(READ),
    "GET /api/customers/{id}/": Row(READ),
    "POST /api/kra-users/": Row(Right.MANAGE_ITEMS),
    "GET /api/kra-users/": Row(READ),
    "POST /api/insurers/": Row(Right.MANAGE_ITEMS),
    "GET /api/insurers/": Row(READ),
}


def _routes() -> dict[str, dict[str, Any]]:
    """Every operation of the description, by `METHOD /path/`."""
    return {
        f"{method.upper()} {path}": operation
        for path, ways in schema()["paths"].items()
        for method, operation in ways.items()
    }


ROUTES = _routes()
WITH_IDS = [route for route in ROUTES if "{" in route and ROWS.get(route, Row()).ids == "company"]
OF_COMPANIES = [route for route in WITH_IDS if "companies/{id}" in route]


def filled(house: House, route: str) -> tuple[str, str]:
    """Method and path of a route, with the ids of Amani's things in it."""
    method, _, path = route.partition(" ")
    values = {"invitation": house.invitation, "member": house.member, "pin": house.stranger.pin, "number": "1"}
    values |= {"device": house.amani.device, "prefix": house.keys["spare"][:16], "code": "00", "name": "countries"}
    if "classifications" in path:
        values["code"] = "5016150900"
    if path.endswith("companies/{id}/status/"):
        values["id"] = house.victim.company
    elif "companies/{id}" in path:
        values["id"] = house.amani.company
    else:
        of = {
            "/api/reports/z/": house.z_report,
            "/api/items/uploads/": house.upload,
            "/api/items/": house.item,
            "/api/customers/": house.customer,
            "/api/receipts/batches/": house.batch,
        }
        values["id"] = next((id for start, id in of.items() if path.startswith(start)), house.document)
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"say which value stands in {path}"
    asked = [one for one in ROUTES[route].get("parameters", []) if one["in"] == "query"]
    query = [f"{one['name']}=tea" for one in asked if one.get("required")]
    if path.startswith("/api/environment/"):  # the staff says which company is meant
        query += [f"company={house.amani.company}" for one in asked if one["name"] == "company"]
    query += [f"format={readable(one['schema'])}" for one in asked if one["name"] == "format"]
    return method, path + ("?" + "&".join(query) if query else "")


def readable(parameter: dict[str, Any]) -> str:
    """Which of the formats that a route offers can be read here."""
    return next(name for name in ("json", "csv", "text") if name in parameter["enum"])


def body_of(house: House, route: str) -> Any:
    """The example body of a route, which is taken as it is."""
    if "requestBody" not in ROUTES[route]:
        return None
    content = ROUTES[route]["requestBody"]["content"]
    if "multipart/form-data" in content:
        return FILE
    named = {"company": house.amani.company} if "/api/environment/" in route else {}
    return {**content["application/json"]["example"], **named}


def hidden_by(house: House, route: str) -> dict[str, str]:
    """What a list must not show to others. A log shows the paths that its reader asked for, with the ids in them."""
    if route != "GET /api/logs/":
        return house.secrets
    return {name: house.secrets[name] for name in ("reference", "item code", "row", "buyer", "pin", "name")}


def code(answer: Any) -> str | None:
    return answer.body.get("code") if answer.status >= 400 and isinstance(answer.body, dict) else None


def test_every_route_has_a_row_and_no_row_is_without_a_route() -> None:
    assert set(ROWS) == set(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
def test_who_has_the_right_may_and_nobody_else(house: House, route: str) -> None:
    row, (method, path), body = ROWS[route], filled(house, route), body_of(house, route)
    if row.is_public:
        assert house.ask("nobody", method, path, body).status == 200
        return
    found = {who: house.ask(who, method, path, body) for who in (*ROLES, *STAFF)}
    # KRA refuses a device whose key was entered anew, retired or replaced by a route that was tried before
    broken = {who: one for who, one in found.items() if one.status >= 500 and code(one) != "kra_unreachable"}
    assert broken == {}
    for role in ROLES:
        expected = {None: "operator_needed", False: "role_not_allowed", True: None}
        refusal = expected[None if row.right is None else may(role, row.right)]
        said = code(found[role])
        assert (said if said in REFUSALS else None) == refusal, (role, found[role])
    for role in STAFF:
        refusal = "key_unknown" if row.staff is None else None if may(role, row.staff) else "role_not_allowed"
        said = code(found[role])
        assert (said if said in REFUSALS else None) == refusal, (role, found[role])


@pytest.mark.parametrize("route", [route for route in ROUTES if not ROWS.get(route, Row()).is_public])
def test_without_a_good_key_nothing_opens(house: House, route: str) -> None:
    (method, path), body = filled(house, route), body_of(house, route)
    for who, refusal in (("nobody", "key_missing"), ("wrong", "key_unknown")):
        answer = house.ask(who, method, path, body)
        assert (answer.status, code(answer)) == (401, refusal)
        assert seen_in(answer, house.secrets) == []


@pytest.mark.parametrize("route", WITH_IDS)
def test_a_stranger_gets_404_on_every_id_and_learns_nothing(house: House, route: str) -> None:
    (method, path), body = filled(house, route), body_of(house, route)
    answer = house.ask("stranger", method, path, body)
    refusal = (403, "operator_needed") if ROWS[route].right is None else (404, "not_found")
    assert (answer.status, code(answer)) == refusal
    assert seen_in(answer, house.secrets) == []


@pytest.mark.parametrize("route", WITH_IDS)
def test_a_resellers_staff_gets_404_on_what_is_not_of_its_companies(house: House, route: str) -> None:
    (method, path), body = filled(house, route), body_of(house, route)
    answer = house.ask("reseller", method, path, body)
    assert (answer.status, code(answer)) == ((401, "key_unknown") if ROWS[route].staff is None else (404, "not_found"))
    assert seen_in(answer, house.secrets) == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.startswith("GET ") and "{" not in route])
def test_a_list_shows_a_stranger_only_what_is_the_strangers(house: House, route: str) -> None:
    method, path = filled(house, route)
    for who in ("stranger", "reseller"):
        assert seen_in(house.ask(who, method, path), hidden_by(house, route)) == []


@pytest.mark.parametrize("route", [route for route in WITH_IDS if route not in OF_COMPANIES])
def test_a_key_of_the_other_environment_finds_none_of_its_ids(house: House, route: str) -> None:
    (method, path), body = filled(house, route), body_of(house, route)
    answer = house.ask("production", method, path, body)
    assert (answer.status, code(answer)) == (404, "not_found")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.startswith("GET ")])
def test_a_key_of_the_other_environment_reads_nothing_of_this_one(house: House, route: str) -> None:
    method, path = filled(house, route)
    of_company = {"company", "pin", "name", "invitation", "member"}  # people belong to no environment
    if path.endswith("/items/"):
        of_company |= {"item code", "row"}  # going live, which the staff may have tried before, copies the catalogue
    hidden = {name: value for name, value in hidden_by(house, route).items() if name not in of_company}
    assert seen_in(house.ask("production", method, path), hidden) == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.startswith("GET ")])
def test_no_filter_and_no_cursor_opens_another_companys_things(house: House, route: str) -> None:
    """Every query parameter of every list is given what belongs to Amani Stores, by a stranger and a reseller.

    Where the staff has no business a reseller's key is unknown, whatever is asked: that stands above.
    """
    method, path = filled(house, route)
    names = {one["name"] for one in ROUTES[route].get("parameters", []) if one["in"] == "query"}
    values = {*house.secrets.values(), "%", "' OR 1=1 --", "\x00", "*", house.keys["owner"]}
    for who, opens in (("stranger", "owner"), ("reseller", "admin")):
        if who == "reseller" and ROWS[route].staff is None:
            continue
        page = house.ask(opens, method, f"{path}{'&' if '?' in path else '?'}limit=1")
        if page.status == 200 and isinstance(page.body, dict) and page.body.get("next"):
            values.add(page.body["next"])
        for name in names:
            for value in values:
                quoted = "".join(f"%{byte:02X}" for byte in value.encode())
                answer = house.ask(who, method, f"{path}{'&' if '?' in path else '?'}{name}={quoted}")
                assert answer.status < 500, (name, value, answer)
                assert seen_in(answer, hidden_by(house, route), sent=json.dumps(value)) == [], (name, value)
