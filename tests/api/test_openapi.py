import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from gateway.api import imports, journal, purchases, receipts, reports, stock
from gateway.api.branches import BranchChange, BranchNew
from gateway.api.catalogue import ImportIn, ItemPatch, ItemPut
from gateway.api.companies import StatusIn
from gateway.api.company_devices import DeviceNew
from gateway.api.devices import ActivateIn, KeyIn, ReplaceIn, RetireIn
from gateway.api.environment import ConnectivityIn, SwitchIn
from gateway.api.examples import ANSWERS, BODIES, INVOICE, SALE
from gateway.api.invitations import InvitationIn
from gateway.api.items import ItemsIn
from gateway.api.keys import KeyNew, RotateIn
from gateway.api.kra_records import CustomerIn, InsurerIn, UserIn
from gateway.api.late_credits import LateCreditIn
from gateway.api.main import HOT_ROUTES
from gateway.api.members import MemberChange
from gateway.api.onboarding import OnboardIn
from gateway.api.openapi import schema
from gateway.api.problems import PROBLEMS
from gateway.api.shapes import Body
from gateway.lib.clock import utc_now
from gateway.sales.intake import check, read_sale

# What this slice of the product promises
PROMISED = {
    "/api/onboard/": "post",
    "/api/device/init/": "post",
    "/api/device/{device}/status/": "get",
    "/api/integration/items/sync/": "post",
    "/api/item/sync/": "post",
    "/api/integration/oscu/sales/": "post",
    "/api/sales/": "post",
    "/api/integration/transactions/{id}/status/": "get",
    "/api/invoices/": "get",
    "/health/": "get",
}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, ways in schema()["paths"].items() for method, one in ways.items()]


def test_every_promised_route_is_described() -> None:
    described = {(path, method) for path, method, _ in operations()}
    assert set(PROMISED.items()) <= described


def test_hot_routes_and_djangos_stand_in_one_file() -> None:
    hot = {"/api/" + route.replace("<str:id>", "{id}") for route in HOT_ROUTES}
    assert hot <= set(schema()["paths"])


def test_every_reference_leads_somewhere() -> None:
    made = schema()
    text = json.dumps(made)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        place: Any = made
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_operation_has_a_name_a_summary_and_its_problems() -> None:
    names = [one["operationId"] for _, _, one in operations()]
    assert len(names) == len(set(names))
    for path, _, one in operations():
        assert one["summary"], path
        assert one["tags"], path
        for status, answer in one["responses"].items():
            if int(status) >= 400 and "application/problem+json" in answer["content"]:
                assert answer["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
        if path != "/health/":
            assert {"401", "403", "500"} <= set(one["responses"])


def test_the_description_names_every_problem_code() -> None:
    assert schema()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == sorted(PROBLEMS)


def test_the_description_is_openapi_3_1_and_served() -> None:
    response = Client().get("/api/openapi.json")
    assert response.status_code == 200
    assert response.json() == json.loads(json.dumps(schema()))
    assert response.json()["openapi"] == "3.1.0"


def test_the_file_of_the_repository_is_in_step() -> None:
    call_command("openapi", check=True)


def test_a_file_out_of_step_is_told(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "openapi.json"
    with pytest.raises(CommandError, match="make openapi"):
        call_command("openapi", check=True, file=file)
    call_command("openapi", file=file, stdout=io.StringIO())
    call_command("openapi", check=True, file=file)
    assert json.loads(file.read_text()) == json.loads(json.dumps(schema()))
    file.write_text("{}")
    with pytest.raises(CommandError):
        call_command("openapi", check=True, file=file)


def test_the_description_does_not_depend_on_the_installation() -> None:
    assert settings.SYSTEM_URL not in json.dumps(schema())


def test_every_body_has_an_example_that_is_taken() -> None:
    assert check(read_sale(json.dumps(SALE).encode()), now=utc_now()) == []
    bodies: dict[str, type[Body]] = {"sync_items": ItemsIn, "sync_items_short": ItemsIn}
    bodies |= {"register_customer": CustomerIn, "register_user": UserIn, "register_insurer": InsurerIn}
    bodies |= {"import_items": ImportIn, "replace_item": ItemPut}
    bodies |= {"activate_device": ActivateIn, "enter_key": KeyIn, "onboard": OnboardIn}
    bodies |= {"add_device": DeviceNew, "switch_environment": SwitchIn, "test_connectivity": ConnectivityIn}
    bodies |= {"replace_device": ReplaceIn, "retire_device": RetireIn}
    bodies |= {"set_company_status": StatusIn, "add_branch": BranchNew, "change_branch": BranchChange}
    bodies |= {"make_key": KeyNew, "rotate_key": RotateIn, "invite": InvitationIn}
    bodies |= {"change_member": MemberChange}
    bodies |= {"send_receipt": receipts.SendIn, "begin_receipt_batch": receipts.BatchIn}
    bodies |= {"open_stock": stock.OpeningIn, "adjust_stock": stock.AdjustmentIn, "transfer_stock": stock.TransferIn}
    bodies |= {"produce": stock.ProductionIn, "set_recipe": stock.RecipeIn, "set_stock_policy": stock.PolicyIn}
    bodies |= {"repair_drift": stock.RepairIn, "post_bill": purchases.BillIn, "accept_purchase": purchases.AcceptIn}
    bodies |= {"reject_purchase": purchases.RejectIn, "approve_import": imports.ApproveIn}
    bodies |= {"reject_import": imports.RejectIn, "declare_purchase": purchases.PurchaseIn}
    bodies |= {"take_z_report": reports.ZIn, "move_cash": reports.CashIn, "set_day_end": reports.DayEndIn}
    bodies |= {"export_journal": journal.ExportIn, "allow_late_credit": LateCreditIn}
    assert set(BODIES) == {*bodies, "change_item"}
    for name, model in bodies.items():
        model.model_validate(BODIES[name])
    assert set(BODIES["change_item"]) <= set(ItemPatch.model_fields)
    for path, _, one in operations():
        content = one.get("requestBody", {}).get("content", {})
        assert not content or "multipart/form-data" in content or "example" in content["application/json"], path


def test_the_example_of_an_invoice_has_the_fields_that_are_described_and_fits_the_catalogue_of_the_demo() -> None:
    described = schema()["components"]["schemas"]
    assert set(INVOICE) == set(described["Invoice"]["properties"])
    assert set(INVOICE["receipt"]) == set(described["Receipt"]["properties"])
    items = {
        item["code"]: item for item in json.loads(Path("examples/items.json").read_text(encoding="utf-8"))["items"]
    }
    (line,) = INVOICE["lines"]
    item = items[line["item_code"]]
    for name in ("item_class", "name", "packaging_unit", "quantity_unit", "tax_type"):
        assert line[name] == item[name]
    assert line["unit_price"] == SALE["lines"][0]["unit_price"] == item["price"]


def test_the_example_of_a_batch_has_the_fields_that_are_described() -> None:
    (batch,) = ANSWERS["list_receipt_batches"]["batches"]
    assert set(batch) == set(receipts.BatchOut.model_validate(batch).model_dump())


def test_no_two_operations_have_the_same_summary() -> None:
    summaries = [one["summary"] for _, _, one in operations()]
    assert len(summaries) == len(set(summaries))
