"""`manage.py lanes`: what an operator reads and types."""

import io
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from gateway.audit.models import Event
from gateway.devices.models import Device
from gateway.devices.onboarding import Onboarded
from gateway.lanes.models import Attempt, Lane
from gateway.sales.models import Invoice
from tests.api.rows import make_invoice
from tests.sales.waiting import HELD, job_of, lane_of, make_doubtful, make_queued
from tests.tenants.factories import make_active, make_company, make_stranger

pytestmark = pytest.mark.django_db
RECEIPT = {
    "number": 1,
    "receipt_number": 7,
    "total_receipt_number": 9,
    "internal_data": "EAHSAV6ECUUXSY6PCCJYAUP6MI",
    "signature": "QUII-27MA-TATS-HFRB",
    "signed_at": "2026-11-20T10:00:00+03:00",
    "control_unit_id": "SIMCU0100000001",
}


@pytest.fixture
def amani(settings: Any) -> Onboarded:
    settings.KRA_SANDBOX_PROFILE = "simulator"
    settings.KRA_SANDBOX_BASE_URL = "http://127.0.0.1:9/oscu/etims-api"
    made = make_company()
    make_active(made.device)
    return made


@pytest.fixture
def device(amani: Onboarded) -> Device:
    return amani.device


@pytest.fixture
def vscu(amani: Onboarded) -> Device:
    """A device that cannot be asked what it signed."""
    return make_active(make_stranger(kind="vscu").device)


def lanes(*words: str) -> str:
    out = io.StringIO()
    call_command("lanes", *words, stdout=out)
    return out.getvalue()


def types(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What the person at the terminal types."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_without_work_the_list_says_so(device: Device) -> None:
    assert lanes("list") == "No lane has anything to do.\n"
    assert lanes("list", "--held") == "No lane is held.\n"
    assert json.loads(lanes("list", "--json")) == []


def test_the_list_tells_how_much_waits_how_long_and_why(device: Device) -> None:
    make_queued(device)
    make_queued(device, "POS-2")
    later = datetime.now(UTC) + timedelta(hours=1)
    Lane.objects.filter(pk=device.lane_id).update(due_at=later, rest_reason="KRA is away.")
    head, line = lanes("list").splitlines()
    assert head.split() == ["LANE", "ID", "WAITING", "OLDEST", "OWNER", "STATE"]
    assert line.startswith(f"{device.lane}  {device.lane_id}") and "  2  " in line
    assert "resting until 20" in line and line.endswith(": KRA is away.")


def test_a_held_lane_says_why_in_a_sentence_and_what_to_do(vscu: Device) -> None:
    make_doubtful(vscu, number=3)
    _, line, advice = lanes("list").splitlines()
    assert "held since 20" in line and HELD in line
    assert "number 3 (POS-1, KES " in advice and "control unit's own list" in advice
    assert all(way in advice for way in ("--signed FILE", "--resend", "--give-back"))


def test_a_lane_held_for_its_device_is_to_be_mended_and_released(device: Device) -> None:
    make_queued(device)
    Lane.objects.filter(pk=device.lane_id).update(hold_reason="The device is not active.", held_at=datetime.now(UTC))
    assert "Mend what it is held for, then: manage.py lanes release" in lanes("list", "--held")


def test_the_list_can_be_one_companys(amani: Onboarded, device: Device, vscu: Device) -> None:
    make_queued(device)
    make_doubtful(vscu)
    only = lanes("list", "--company", amani.company.pin.lower())
    assert str(device.lane) in only and str(vscu.lane) not in only
    held = lanes("list", "--held")
    assert str(vscu.lane) in held and str(device.lane) not in held


def test_programs_read_the_list_as_json(vscu: Device) -> None:
    make_doubtful(vscu)
    (row,) = json.loads(lanes("list", "--json"))
    assert (row["lane"], row["state"], row["why"], row["waiting"]) == (str(vscu.lane), "held", HELD, 1)
    assert row["owner"] is None and row["until"] is None and row["what_to_do"]
    assert datetime.fromisoformat(row["since"]).tzinfo is not None and row["oldest_seconds"] >= 0


def test_a_lanes_story_shows_its_jobs_and_what_was_said(device: Device) -> None:
    signed = make_invoice(device, "POS-0", number=1)
    signed.lane.jobs.create(kind="invoice", document_id=signed.pk, state="closed")
    doubtful = make_doubtful(device, number=2)
    make_queued(device, "POS-2")
    Attempt.objects.create(
        company_id=device.company_id,
        environment="sandbox",
        kind="invoice",
        document_id=doubtful.pk,
        operation="sales_save",
        number=2,
        started_at=datetime.now(UTC),
        duration_ms=812,
        outcome="no_answer",
        code="no_answer",
        message="no answer from KRA",
        request_sha256="0" * 64,
    )
    told = lanes("show", str(device.lane))
    last, following = told.split("Last:")[1].split("Next:")
    assert "POS-0" in last and "signed" in last
    assert following.index("POS-1") < following.index("POS-2")
    assert "Messages about POS-1:" in told and "812 ms" in told and "no answer from KRA" in told
    assert "What to do: " in told and "next number 2" in told and "no owner" in told


def test_a_lane_is_held_and_released_by_a_name(device: Device) -> None:
    said = lanes("hold", str(device.lane), "--reason", "stock is being counted", "--by", "wanjiru")
    assert said == f"The lane {device.lane} is held. What comes in is kept and waits.\n"
    assert "stock is being counted" in lanes("list")
    said = lanes("release", str(device.lane_id), "--by", "otieno")
    assert said == f"The lane {device.lane} goes on, with number 1 next.\n"
    assert list(Event.objects.filter(name__startswith="lane.").order_by("pk").values_list("name", "actor")) == [
        ("lane.held", "operator:wanjiru"),
        ("lane.released", "operator:otieno"),
    ]


def test_without_a_name_the_journal_has_the_user_of_the_machine(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "LOGNAME", "otieno")
    lanes("hold", str(device.lane), "--reason", "r")
    assert Event.objects.get(name="lane.held").actor == "operator:otieno"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "sandbox/P051234567X/77/invoice"], "no lane"),
        (["show", "nonsense"], "names no lane"),
        (["release", "LANE"], "not held"),
        (["hold", "LANE", "--reason", " "], "Say why"),
        (["hold", "LANE", "--reason", "r", "--by", "x" * 81], "--by NAME"),
        (["resolve", "LANE", "--resend", "--yes"], "not held"),
        (["resolve", "LANE", "--signed", "/nowhere/file.json", "--yes"], "cannot be read"),
        (["resolve", "LANE", "--yes"], "one of the arguments"),
        (["resolve", "LANE", "--resend", "--give-back", "--yes"], "not allowed with"),
        ([], "arguments are required"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(device: Device, words: list[str], says: str) -> None:
    before = Event.objects.count()
    with pytest.raises(CommandError, match=says):
        lanes(*[str(device.lane) if word == "LANE" else word for word in words])
    assert Event.objects.count() == before and not lane_of_device(device).hold_reason


def lane_of_device(device: Device) -> Lane:
    return Lane.objects.get(pk=device.lane_id)


def test_a_receipt_in_a_file_signs_the_document_in_doubt(vscu: Device, tmp_path: Path) -> None:
    invoice = make_doubtful(vscu)
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(RECEIPT), encoding="utf-8")
    said = lanes("resolve", str(vscu.lane), "--signed", str(file), "--yes", "--by", "wanjiru")
    assert "number 1 (POS-1, KES " in said and "signed for ever: receipt 7/9 of SIMCU0100000001" in said
    assert f"POS-1 is signed. The lane {vscu.lane} goes on, with number 2 next." in said
    assert Invoice.objects.get(pk=invoice.pk).signature == "QUII27MATATSHFRB"


def test_a_document_is_sent_again(vscu: Device) -> None:
    invoice = make_doubtful(vscu)
    said = lanes("resolve", str(vscu.lane), "--resend", "--yes")
    assert "is sent once more, the same bytes under the same number" in said and "POS-1 is unknown." in said
    assert job_of(invoice).state == "queued" and not lane_of(invoice).hold_reason


def test_a_number_is_given_back_only_when_nothing_can_land_any_more(vscu: Device, settings: Any) -> None:
    settings.ENGINE_LATE_SECONDS = 1000.0
    invoice = make_doubtful(vscu, sent_seconds_ago=600)
    with pytest.raises(CommandError, match=r"in (399|400) seconds"):
        lanes("resolve", str(vscu.lane), "--give-back", "--yes")
    settings.ENGINE_LATE_SECONDS = 300.0
    said = lanes("resolve", str(vscu.lane), "--give-back", "--yes")
    assert "You state that KRA does not have number 1 (POS-1" in said and "POS-1 is refused." in said
    assert "with number 1 next" in said and Invoice.objects.get(pk=invoice.pk).number is None


@pytest.mark.parametrize("typed", ["", "no\n", "y\n"])
def test_only_a_typed_yes_decides(vscu: Device, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    invoice = make_doubtful(vscu)
    types(monkeypatch, typed)
    with pytest.raises(CommandError, match=r"[Nn]othing was changed"):
        lanes("resolve", str(vscu.lane), "--resend")
    assert job_of(invoice).state == "started" and lane_of(invoice).hold_reason == HELD
    types(monkeypatch, "Yes\n")
    assert "goes on" in lanes("resolve", str(vscu.lane), "--resend")
