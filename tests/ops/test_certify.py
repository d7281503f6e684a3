"""KRA's certification run, rehearsed against the simulator: what passes, what is left, what must never happen."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from PIL import Image
from pypdf import PdfReader

from gateway.kra.codes import TaxClass
from gateway.kra.documents import AppCredentials, ItemClass
from gateway.kra.profiles import Flavour, simulator
from gateway.ops import certify, certify_shop
from gateway.ops.certify_cases import CASES
from gateway.ops.certify_evidence import counted
from gateway.ops.certify_key import KeyFile, KeyFileTrouble
from gateway.ops.certify_run import Result
from gateway.ops.certify_shop import ARTICLE, SIMULATED_BUYER, SIMULATED_TAXPAYER, chosen_class
from gateway.sales.receipts.logos import Logos
from tests.servers import Simulator

ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 19, 17, 18, 11, 12, 13, 14, 20, 21, 15, 16, 22, 23]
NOT_VSCU = {"20", "21", "22", "23"}
MASTER_KEY = b"tests-only-tests-only-tests-only"
PIN, NAME, ADDRESS = SIMULATED_TAXPAYER
SERIAL = "AMANI-NRB-0001"

Planned = Callable[..., certify.Plan]


@pytest.fixture
def planned(simulator: Simulator, tmp_path: Path) -> Planned:
    """Makes a plan against the simulator that tests can break; its device is approved."""

    def make(flavour: Flavour = Flavour.OSCU_DIRECT, *, out: str = "evidence", **changes: Any) -> certify.Plan:
        values: dict[str, Any] = {
            "profile": profile_at(simulator, flavour),
            "app": certify.SIMULATED_APP,
            "pin": PIN,
            "branch": "00",
            "serial": SERIAL,
            "seller": NAME,
            "address": ADDRESS,
            "buyer": SIMULATED_BUYER[:2],
            "folder": tmp_path / out,
            "key_file": tmp_path / "key.json",
            "master_keys": (MASTER_KEY,),
            "may_initialise": lambda question: True,
            **changes,
        }
        plan = certify.Plan(**values)
        certify.approve(simulator.url, plan)
        return plan

    return make


def profile_at(kra: Simulator, flavour: Flavour, **more: Any) -> Any:
    return simulator(flavour, kra.url, **more)


def run(plan: certify.Plan) -> dict[str, Result]:
    """The results by KRA's number of the case."""
    return {result.case.number: result for result in certify.certify(plan, say=lambda text: None)}


def statuses(results: dict[str, Result]) -> dict[str, str]:
    return {number: str(result.status) for number, result in results.items() if result.status != "passed"}


def items_at(kra: Simulator) -> list[str]:
    """The item codes that were sent to KRA."""
    return [json.loads(row["body"])["itemCd"] for row in kra.requests(operation="item_save")]


def text_of(folder: Path) -> str:
    return "\n".join(read(path) for path in sorted(folder.rglob("*")) if path.is_file())


def read(path: Path) -> str:
    """What stands in a file, in a PDF too."""
    if path.suffix == ".pdf":
        return "\n".join(page.extract_text() for page in PdfReader(path).pages)
    return path.read_text(encoding="utf-8")


# What passes


def test_the_cases_are_kras_23_and_the_credit_note_in_the_order_in_which_they_depend_on_each_other() -> None:
    assert [case.number for case in CASES] == [*map(str, ORDER), "+"]
    assert sorted(case.folder[:2] for case in CASES) == [f"{number:02}" for number in range(1, 25)]


@pytest.mark.parametrize("flavour", Flavour)
def test_every_case_passes_that_the_flavour_offers(planned: Planned, flavour: Flavour) -> None:
    results = run(planned(flavour))
    expected = dict.fromkeys(NOT_VSCU, "not offered") if flavour is Flavour.VSCU else {}
    assert statuses(results) == expected
    assert certify.all_passed(list(results.values()))


def test_the_other_names_of_gavaconnect_pass_too(planned: Planned, simulator: Simulator) -> None:
    profile = profile_at(simulator, Flavour.GAVACONNECT, paths="gava_integrator")
    assert statuses(run(planned(profile=profile))) == {}
    assert any(row["path"].endswith("/sendSalesTransaction") for row in simulator.requests(operation="sales_save"))


@pytest.mark.parametrize("amounts", ["inclusive_gross_base", "exclusive"])
def test_the_other_readings_of_amounts_pass_where_kra_reads_so(
    planned: Planned, simulator: Simulator, amounts: str
) -> None:
    simulator.call("POST", "/_sim/settings", {"profile": amounts})
    plan = planned(profile=profile_at(simulator, Flavour.OSCU_DIRECT, amount_profile=amounts))
    assert {number: run for number, run in statuses(run(plan)).items() if number != "16"} == {}


def test_kra_holds_two_sales_and_a_credit_note_with_different_letters_goods_and_a_service(
    planned: Planned, simulator: Simulator
) -> None:
    run(planned())
    rows = simulator.ledger()
    assert [(row["number"], row["kind"]) for row in rows] == [(1, "sale"), (2, "sale"), (3, "credit_note")]
    lines = rows[0]["body"]["itemList"]
    assert {line["taxTyCd"] for line in lines} == {"A", "B", "C"}
    assert {line["itemCd"][2] for line in lines} == {"2", "3"}
    assert rows[0]["body"]["custTin"] == SIMULATED_BUYER[0] and rows[1]["body"]["custTin"] is None
    assert 0 < rows[2]["body"]["totAmt"] < rows[0]["body"]["totAmt"]


def test_nothing_in_it_is_called_test_or_demo(planned: Planned, simulator: Simulator) -> None:
    plan = planned()
    run(plan)
    sent = "\n".join(row["body"] for row in simulator.requests())
    papers = text_of(plan.folder / "printed")
    for word in ("test", "demo", "sample", "dummy", "example"):
        assert word not in sent.lower(), word
        assert word not in papers.lower(), word


# Evidence


def test_the_folder_has_the_messages_the_table_the_papers_and_the_four_uploads(planned: Planned) -> None:
    plan = planned(Flavour.GAVACONNECT)
    results = run(plan)
    for result in results.values():
        place = plan.folder / result.case.folder
        for name in ("request.json", "answer.json"):
            assert json.loads((place / name).read_text(encoding="utf-8"))
        assert "passed" in (place / "note.txt").read_text(encoding="utf-8")
        assert len(list(place.glob("request*.json"))) == len(result.exchanges)
    summary = (plan.folder / "summary.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in summary.splitlines() if line.startswith("| ") and "](" in line]
    assert [row[0].strip("| ") for row in rows] == [*map(str, ORDER), "+"]
    assert {row[3] for row in rows} == {"passed"}
    assert "rehearsal against the simulator" in summary
    for what in ("Item creation", "Invoice generation", "Printed invoice", "Printed credit note"):
        assert f"- {what}: [" in summary
    assert len(list((plan.folder / "uploads").iterdir())) == 6


def test_every_link_of_the_summary_leads_to_a_file(planned: Planned) -> None:
    plan = planned()
    run(plan)
    summary = (plan.folder / "summary.md").read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in summary.split("](")[1:]]
    assert len(links) > 30
    assert [link for link in links if not (plan.folder / link).is_file()] == []


def test_the_papers_are_those_that_the_gateway_prints(planned: Planned, simulator: Simulator) -> None:
    plan = planned()
    run(plan)
    sale, _, credit = simulator.ledger()
    invoice = (plan.folder / "printed" / "invoice.txt").read_text(encoding="utf-8")
    note = (plan.folder / "printed" / "credit-note.txt").read_text(encoding="utf-8")
    signature = "-".join(sale["signature"][place : place + 4] for place in range(0, 16, 4))
    for part in ("TAX INVOICE", NAME, PIN, SIMULATED_BUYER[0], signature, "[service]", "MOBILE MONEY", "CASH"):
        assert part in invoice
    assert "CREDIT NOTE" in note
    assert f"SIMCU0000000001/{sale['receipt_number']} NS" in note
    assert f"{credit['total']}" in note.replace(",", "")
    assert "CASH" not in note


def test_the_papers_are_files_to_hand_in_on_a4_and_on_a_roll_with_a_copy_and_kras_logo(planned: Planned) -> None:
    logo = io.BytesIO()
    Image.new("RGB", (200, 80), "red").save(logo, "PNG")
    plan = planned(logos=Logos(kra=logo.getvalue()))
    run(plan)
    names = ("invoice", "invoice-copy", "invoice-walk-in", "credit-note")
    for name in names:
        for paper, width in (("a4", 210), ("80mm", 80)):
            (page,) = PdfReader(plan.folder / "printed" / f"{name}-{paper}.pdf").pages
            assert round(float(page.mediabox.width) / 72 * 25.4) == width
            assert len(page.images) == 1
            words = " ".join(page.extract_text().split())
            assert ("THIS IS NOT AN OFFICIAL RECEIPT" in words) == (name == "invoice-copy")
    assert len(list((plan.folder / "printed").iterdir())) == 4 * len(names)
    for upload, paper in (("3-printed-invoice", "invoice-a4"), ("4-printed-credit-note", "credit-note-a4")):
        handed_in = (plan.folder / "uploads" / f"{upload}.pdf").read_bytes()
        assert handed_in == (plan.folder / "printed" / f"{paper}.pdf").read_bytes()


def test_no_key_token_secret_or_password_is_in_the_evidence_or_on_the_screen(
    planned: Planned, simulator: Simulator
) -> None:
    simulator.call("POST", "/_sim/settings", {"consumer_key": "PLANTED-consumer", "consumer_secret": "PLANTED-secret"})
    app = AppCredentials("PLANTED-consumer", "PLANTED-secret", "app-1")
    plan = planned(Flavour.GAVACONNECT, app=app)
    simulator.fault("notice_list", "unauthorized", times=1)
    said: list[str] = []
    certify.certify(plan, say=said.append)
    headers = [dict(row["headers"]) for row in simulator.requests()]
    keys = {found["cmckey"] for found in headers if "cmckey" in found}
    tokens = {found["authorization"].split()[1] for found in headers if "authorization" in found}
    assert len(keys) == 1 and len(tokens) >= 2
    everything = text_of(plan.folder) + "\n".join(said) + plan.key_file.read_text(encoding="utf-8")
    for secret in (*keys, *tokens, "PLANTED", certify_shop.USER.password):
        assert secret not in everything
    assert plan.key_file.stat().st_mode & 0o077 == 0


def test_evidence_of_two_runs_is_never_mixed(planned: Planned, simulator: Simulator) -> None:
    run(planned())
    sent = len(simulator.requests())
    with pytest.raises(certify.CannotCertify, match="not empty"):
        run(planned())
    assert len(simulator.requests()) == sent


def test_a_list_that_was_cut_is_still_json(planned: Planned) -> None:
    plan = planned()
    run(plan)
    answer = json.loads((plan.folder / "03-item-classifications" / "answer.json").read_text(encoding="utf-8"))
    assert answer["not_json_or_cut"].endswith("…")


# What goes wrong


def test_one_failed_case_leaves_the_others_their_turn_and_the_run_is_not_passed(
    planned: Planned, simulator: Simulator
) -> None:
    simulator.fault("branch_insurance_save", "result_code", code="910", times=1)
    plan = planned()
    results = run(plan)
    assert statuses(results) == {"8": "failed"}
    assert results["8"].code == "910"
    assert not certify.all_passed(list(results.values()))
    assert counted(list(results.values())) == "23 passed, 1 failed"
    assert (plan.folder / "08-save-branch-insurance" / "answer.json").exists()


def test_what_needs_a_failed_case_is_not_run(planned: Planned, simulator: Simulator) -> None:
    simulator.fault("item_save", "result_code", code="910")
    results = run(planned())
    assert statuses(results) == {
        "10": "failed",
        **dict.fromkeys(["19", "17", "11", "13", "14", "20", "16", "+"], "not run"),
    }
    assert results["14"].message == "needs test case 10"


def test_an_empty_list_of_imports_is_no_pass(planned: Planned, simulator: Simulator) -> None:
    simulator.call("POST", "/_sim/settings", {"seeded": False})
    results = run(planned())
    assert statuses(results) == {"12": "failed", "13": "not run"}
    assert results["15"].code == "001"  # empty, and that is a pass there
    assert "declared by hand" in " ".join(results["16"].notes)


@pytest.mark.parametrize("flavour", [Flavour.OSCU_DIRECT, Flavour.GAVACONNECT])
@pytest.mark.parametrize("fault", ["answer_lost", "request_lost", "truncated_json"])
def test_a_lost_answer_to_a_sale_is_looked_up_and_nothing_is_signed_twice(
    planned: Planned, simulator: Simulator, flavour: Flavour, fault: str
) -> None:
    simulator.fault("sales_save", fault, times=1)
    assert statuses(run(planned(flavour))) == {}
    assert [row["number"] for row in simulator.ledger()] == [1, 2, 3]


def test_without_a_look_up_a_lost_answer_is_a_failed_case(planned: Planned, simulator: Simulator) -> None:
    simulator.fault("sales_save", "answer_lost", times=1)
    results = run(planned(Flavour.VSCU))
    assert results["14"].status == "failed"
    assert results["+"].status == "not run"
    assert len(simulator.ledger()) == 1


def test_an_unreachable_kra_fails_the_first_case_and_leaves_no_key_file(planned: Planned, simulator: Simulator) -> None:
    plan = planned()
    away = simulator.url.rsplit(":", 1)[0] + ":9"
    results = run(planned(profile=profile_at(Simulator(away, simulator.log), Flavour.OSCU_DIRECT)))
    assert results["1"].status == "failed" and results["2"].message == "needs test case 1"
    assert not plan.key_file.exists()


# The device's key


def test_a_device_is_initialised_once_and_another_run_goes_on_with_its_key_and_numbers(
    planned: Planned, simulator: Simulator
) -> None:
    run(planned())
    results = run(planned(out="again"))
    assert statuses(results) == {}
    assert "earlier run" in " ".join(results["1"].notes)
    assert len(simulator.requests(operation="device_init")) == 1
    assert [row["number"] for row in simulator.ledger()] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("flavour", [Flavour.OSCU_DIRECT, Flavour.GAVACONNECT])
def test_numbers_that_were_forgotten_are_taken_up_where_kra_says(
    planned: Planned, simulator: Simulator, flavour: Flavour
) -> None:
    simulator.fault("*", "repeat_as_drift")
    run(planned(flavour))
    first = set(items_at(simulator))
    plan = planned(flavour, out="again")
    known = json.loads(plan.key_file.read_text(encoding="utf-8"))
    plan.key_file.write_text(json.dumps({name: value for name, value in known.items() if name != "numbers"}))
    assert statuses(run(plan)) == {}
    assert [row["number"] for row in simulator.ledger()] == [1, 2, 3, 4, 5, 6]
    assert len(first) == 5 and len(set(items_at(simulator)) - first) == 5  # none was overwritten


def test_nobody_who_does_not_say_so_initialises_a_device(planned: Planned, simulator: Simulator) -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    plan = planned(may_initialise=no)
    with pytest.raises(certify.CannotCertify, match="Nothing was sent"):
        run(plan)
    assert SERIAL in asked[0] and simulator.requests() == []
    assert not plan.folder.exists() and not plan.key_file.exists()


def test_a_lost_answer_to_the_initialisation_is_never_followed_by_another(
    planned: Planned, simulator: Simulator
) -> None:
    simulator.fault("device_init", "answer_lost", times=1)
    plan = planned()
    assert run(plan)["1"].status == "failed"
    with pytest.raises(KeyFileTrouble, match="Do not send it again"):
        run(planned(out="again"))
    assert len(simulator.requests(operation="device_init")) == 1


def test_after_a_refused_initialisation_the_next_run_may_try_again(planned: Planned, simulator: Simulator) -> None:
    simulator.fault("device_init", "result_code", code="901", times=1)
    plan = planned()
    assert run(plan)["1"].code == "901"
    assert not plan.key_file.exists()
    assert statuses(run(planned(out="again"))) == {}


def test_a_key_that_kra_gave_to_another_system_can_be_written_into_the_file(
    planned: Planned, simulator: Simulator
) -> None:
    run(planned())
    key = next(dict(row["headers"])["cmckey"] for row in simulator.requests(operation="code_list"))
    entered = {"pin": PIN, "branch": "00", "serial": SERIAL, "key": key, "control_unit": "SIMCU0000000001"}
    plan = planned(out="again", key_file=planned().key_file.with_name("entered.json"))
    numbers = {"invoice": 4, "purchase": 2, "stock": 2, "item": 6}
    plan.key_file.write_text(json.dumps({**entered, "numbers": numbers}))
    results = run(plan)
    assert statuses(results) == {}
    assert "entered by hand" in " ".join(results["1"].notes)
    assert len(simulator.requests(operation="device_init")) == 1
    assert key not in plan.key_file.read_text(encoding="utf-8")
    assert len(simulator.ledger()) == 6


def test_a_key_file_of_another_device_or_another_installation_is_not_used(planned: Planned) -> None:
    plan = planned()
    run(plan)
    with pytest.raises(KeyFileTrouble, match="belongs to device"):
        KeyFile(plan.key_file, pin=PIN, branch="00", serial="OTHER", master_keys=[MASTER_KEY])
    other = KeyFile(plan.key_file, pin=PIN, branch="00", serial=SERIAL, master_keys=[b"x" * 32])
    with pytest.raises(KeyFileTrouble, match="another ENCRYPTION_KEY"):
        other.activation(Flavour.OSCU_DIRECT)
    rotated = KeyFile(plan.key_file, pin=PIN, branch="00", serial=SERIAL, master_keys=[b"x" * 32, MASTER_KEY])
    assert rotated.activation(Flavour.OSCU_DIRECT).key


def test_a_key_file_that_was_changed_does_not_open(planned: Planned) -> None:
    plan = planned()
    run(plan)
    known = json.loads(plan.key_file.read_text(encoding="utf-8"))
    for sealed in (known["sealed_answer"][:-8] + "AAAAAAA=", known["sealed_answer"][:-5], "AAAA"):
        plan.key_file.write_text(json.dumps({**known, "sealed_answer": sealed}))
        changed = KeyFile(plan.key_file, pin=PIN, branch="00", serial=SERIAL, master_keys=[MASTER_KEY])
        with pytest.raises(KeyFileTrouble, match="does not open"):
            changed.activation(Flavour.OSCU_DIRECT)


def test_a_file_that_is_no_key_file_is_left_alone(planned: Planned) -> None:
    plan = planned()
    plan.key_file.write_text("shopping list")
    with pytest.raises(KeyFileTrouble, match="no key file"):
        run(plan)
    assert plan.key_file.read_text() == "shopping list"


# Odds and ends


def test_gavaconnect_without_an_app_is_said_before_anything_is_sent(planned: Planned, simulator: Simulator) -> None:
    with pytest.raises(certify.CannotCertify, match="KRA_APP_CONSUMER_KEY"):
        run(planned(Flavour.GAVACONNECT, app=None))
    assert simulator.requests() == []


def test_production_is_out_of_reach() -> None:
    for url in ("https://etims-api.kra.go.ke/etims-api", "https://api.kra.go.ke/etims-oscu/api/v1"):
        with pytest.raises(certify.CannotCertify, match="must not reach"):
            certify.sandbox_profile(Flavour.GAVACONNECT, base_url=url)
    real = certify.sandbox_profile(Flavour.GAVACONNECT, options={"paths": "gava_integrator"})
    assert (real.base_url, real.paths) == ("https://sbx.kra.go.ke/etims-oscu/api/v1", "gava_integrator")


def test_an_item_class_is_taken_from_kras_list_where_it_has_not_the_articles_own() -> None:
    def listed(code: str, letter: str, level: int = 5) -> ItemClass:
        return ItemClass(code=code, name=code, level=level, tax_class=letter, is_major_target=False, in_use=True)

    sugar = ARTICLE["sugar"]
    own = sugar.item_class
    assert sugar.tax_class is TaxClass.STANDARD
    assert chosen_class(sugar, {own: listed(own, "B"), "9999999999": listed("9999999999", "B")}) == own
    assert chosen_class(sugar, {own: listed(own, "A"), "1111111111": listed("1111111111", "B")}) == "1111111111"
    assert chosen_class(sugar, {"11": listed("11", "B", 1), "2222222222": listed("2222222222", "B")}) == "2222222222"
    assert chosen_class(sugar, {}) == own


def test_kras_clock_is_held_against_ours(planned: Planned, simulator: Simulator) -> None:
    simulator.fault("*", "clock_skew", seconds=600)
    plan = planned()
    run(plan)
    assert "KRA's clock is" in (plan.folder / "summary.md").read_text(encoding="utf-8")


# The command


@pytest.mark.parametrize("flavour", ["gavaconnect", "vscu"])
def test_the_command_rehearses_against_a_simulator_of_its_own(
    flavour: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("certify", "--simulator", "--flavour", flavour, "--out", str(tmp_path / "out"))
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "Credit note                   passed" in printed
    assert (tmp_path / "out" / "summary.md").exists()


def test_the_simulator_is_the_default_where_the_profile_is_the_simulators(
    tmp_path: Path, settings: LazySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_OPTIONS = {"amount_profile": "inclusive_gross_base"}
    with pytest.raises(SystemExit) as ended:
        call_command("certify", "--flavour", "oscu_direct", "--out", str(tmp_path / "out"))
    assert ended.value.code == 0
    assert "24 passed" in capsys.readouterr().out


def test_against_the_real_sandbox_the_command_says_what_it_needs() -> None:
    with pytest.raises(CommandError, match="--pin, --serial, --buyer-pin"):
        call_command("certify")


def test_the_command_initialises_no_real_device_when_nobody_is_there_to_ask(
    tmp_path: Path, settings: LazySettings, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAR_DIR = tmp_path
    url = f"{simulator.url}/oscu/etims-api"
    told = ["--pin", PIN, "--serial", SERIAL, "--buyer-pin", SIMULATED_BUYER[0], "--buyer-name", SIMULATED_BUYER[1]]
    with pytest.raises(CommandError, match="Nothing was sent"):
        call_command("certify", "--flavour", "oscu_direct", "--base-url", url, *told)
    assert simulator.requests() == []


def test_the_command_goes_against_another_address_with_yes(
    tmp_path: Path, settings: LazySettings, simulator: Simulator, capsys: pytest.CaptureFixture[str], planned: Planned
) -> None:
    settings.VAR_DIR = tmp_path
    settings.KRA_APP_CONSUMER_KEY, settings.KRA_APP_CONSUMER_SECRET, settings.KRA_APP_ID = (
        "sim-consumer",
        "sim-secret",
        "1",
    )
    planned(Flavour.GAVACONNECT)
    urls = ["--base-url", f"{simulator.url}/gavaconnect/etims-oscu/api/v1"]
    urls += ["--token-url", f"{simulator.url}/gavaconnect/v1/token/generate"]
    told = ["--pin", PIN, "--serial", SERIAL, "--buyer-pin", SIMULATED_BUYER[0], "--buyer-name", SIMULATED_BUYER[1]]
    with pytest.raises(SystemExit) as ended:
        call_command("certify", *urls, *told, "--yes")
    assert ended.value.code == 0, capsys.readouterr().out
    assert list((tmp_path / "certify" / "keys").iterdir())
    assert list((tmp_path / "certify").glob("*-gavaconnect_sandbox/summary.md"))


def test_a_moment_of_a_run_is_nairobis() -> None:
    started = datetime(2026, 11, 20, 21, 30, tzinfo=UTC)
    assert certify_shop.reference("INV", started, 1) == "INV-20261121-003000-1"
    assert certify_shop.reference("INV", started + timedelta(seconds=1), 1) != certify_shop.reference("INV", started, 1)
