"""What this installation can do, and what each of the company's devices can; made from the code, so that it is true."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from ninja import Router, Schema
from pydantic import Field

from gateway.api.bodies import most_bytes
from gateway.api.headers import WAIT_DEFAULT_SECONDS, WAIT_MOST_SECONDS
from gateway.api.hot_schema import HOT_PATHS
from gateway.api.items import MOST_ROWS as MOST_ITEMS
from gateway.api.lists import only_these
from gateway.api.request import ApiRequest, must
from gateway.catalog.judging import PRODUCT_TYPES
from gateway.catalog.queries import current_rates
from gateway.catalog.sheets import MOST_FILE_BYTES
from gateway.catalog.sheets import MOST_ROWS as MOST_FILE_ROWS
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile, profile_for
from gateway.kra.codes import PaymentMethod
from gateway.kra.operations import path_of
from gateway.kra.profiles import Flavour, Profile
from gateway.sales.intake import MOST_LINES, MOST_PAYMENTS
from gateway.stock.services import allows_negative
from gateway.tenants.models import Company
from gateway.tenants.rights import Right, rights_of

# What a device can do, by the call of KRA that it needs
DEVICE_CALLS = {
    "sign_sales": "sales_save",
    "recover_lost_answers": "invoice_details",
    "list_signed_documents": "sales_list",
    "register_items": "item_save",
    "import_items": "item_list",
    "compose_items": "item_composition_save",
    "look_up_pins": "customer_pin_lookup",
    "register_customers": "branch_customer_save",
    "register_users": "branch_user_save",
    "register_insurers": "branch_insurance_save",
    "move_stock": "stock_io_save",
    "set_stock": "stock_master_save",
    "fetch_purchases": "purchase_sales_list",
    "accept_purchases": "purchase_save",
    "declare_purchases": "purchase_save",
    "fetch_imports": "import_item_list",
    "accept_imports": "import_item_update",
}


class RouteOut(Schema):
    method: str
    path: str
    operation: str = Field(description="The name of the operation in the API reference.")
    summary: str


class DeviceOut(Schema):
    id: str
    serial: str
    kind: str
    flavour: str | None = Field(description="How it speaks to KRA; null when its connection is not set up.")
    status: str
    can: list[str] = Field(description="What KRA offers over this connection; the gateway's routes are in `routes`.")
    is_simulated: bool
    needs_stock_first: bool = Field(description="KRA refuses goods that have no stock there.")
    works_offline: bool


class KeyCompanyOut(Schema):
    """Whose key it is; `id` stands in the paths of the company's own routes."""

    id: str
    pin: str
    name: str


class CapabilitiesOut(Schema):
    company: KeyCompanyOut
    environment: str
    role: str
    rights: list[str] = Field(description="What the key may do.")
    routes: list[RouteOut]
    devices: list[DeviceOut]
    payment_methods: list[str]
    product_types: list[str]
    tax_rates: dict[str, str] = Field(description="Percent, by tax letter.")
    unknown_items: str = Field(
        description="What becomes of a sale whose line describes an item that is not registered: `register` (the item "
        "is registered first, the sale waits for it) or `refuse`."
    )
    allow_negative_stock: bool = Field(
        description="Whether more may be sold and moved than there is. Never where a device needs stock first."
    )
    limits: dict[str, int]


def capabilities_router(described: Callable[[], dict[str, Any]]) -> Router:
    """The route, handed what describes all others of Django's (OpenAPI's `paths`)."""
    router = Router(tags=["capabilities"])

    @cache
    def routes() -> list[dict[str, str]]:
        paths = {**HOT_PATHS, **described()}
        return [
            {
                "method": method.upper(),
                "path": path,
                "operation": operation["operationId"],
                "summary": operation["summary"],
            }
            for path, ways in sorted(paths.items())
            for method, operation in sorted(ways.items())
        ]

    @router.get(
        "/integration/capabilities/",
        response=CapabilitiesOut,
        operation_id="get_capabilities",
        summary="What this gateway and your devices can do",
    )
    def capabilities(request: ApiRequest) -> dict[str, Any]:
        """Every route there is, what each device's connection to KRA offers, the words and the limits that apply."""
        must(request.auth, Right.READ)
        only_these(request)
        principal = request.auth
        devices = Device.objects.filter(company_id=principal.company_id, environment=principal.environment)
        if principal.device is not None:
            devices = devices.filter(public_id=principal.device)
        return {
            "company": _company(principal.company_id),
            "environment": principal.environment,
            "role": principal.role,
            "rights": sorted(rights_of(principal.role)),
            "routes": routes(),
            "devices": [_device(device) for device in devices.order_by("pk")],
            "payment_methods": [method.word for method in PaymentMethod],
            "product_types": list(PRODUCT_TYPES),
            "tax_rates": {letter: format(rate, ".2f") for letter, rate in current_rates(principal.environment).items()},
            "unknown_items": settings.ITEMS_UNKNOWN,
            "allow_negative_stock": allows_negative(principal.company_id, principal.environment),
            "limits": {
                "lines_of_a_sale": MOST_LINES,
                "payments_of_a_sale": MOST_PAYMENTS,
                "items_of_a_sync": MOST_ITEMS,
                "rows_of_a_file": MOST_FILE_ROWS,
                "bytes_of_a_file": MOST_FILE_BYTES,
                "bytes_of_a_request": most_bytes(""),
                "seconds_to_wait": int(WAIT_MOST_SECONDS),
                "seconds_to_wait_when_not_said": int(WAIT_DEFAULT_SECONDS),
            },
        }

    return router


def _company(company_id: int) -> dict[str, str]:
    company = Company.objects.only("public_id", "pin", "name").get(pk=company_id)
    return {"id": str(company.public_id), "pin": company.pin, "name": company.name}


def _device(device: Device) -> dict[str, Any]:
    try:
        profile: Profile | None = profile_for(device)
    except WrongProfile:
        profile = None
    return {
        "id": str(device.public_id),
        "serial": device.serial,
        "kind": device.kind,
        "status": device.status,
        "flavour": None if profile is None else str(profile.flavour),
        "can": [] if profile is None else [word for word, call in DEVICE_CALLS.items() if path_of(call, profile)],
        "is_simulated": profile is not None and profile.environment == "simulator",
        "needs_stock_first": profile is not None and profile.stock_first,
        "works_offline": profile is not None and profile.flavour is Flavour.VSCU,
    }
