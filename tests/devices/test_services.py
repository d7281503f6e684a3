import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from gateway.audit.models import Event
from gateway.devices.activation import SENTENCES, activate_device
from gateway.devices.models import Device
from gateway.devices.queries import WrongProfile, credentials_for, last_message
from gateway.devices.services import (
    LOST_AFTER,
    BranchHasActiveDevice,
    SerialTaken,
    add_device,
)
from gateway.lanes.models import Attempt, Lane
from gateway.tenants.models import Branch
from gateway.tenants.services import add_branch
from gateway.tenants.vault import device_answers_aad, open_for
from tests.devices.kra_ends import ending, refusing
from tests.servers import Simulator
from tests.tenants.factories import PIN, go_live, make_active, make_company

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
REFUSED_902 = json.dumps(
    {"resultCd": "902", "resultMsg": "This device is installed", "resultDt": "20261120120000", "data": None}
)


def given_by_kra(**info: Any) -> str:
    facts = {
        "tin": PIN,
        "bhfId": "00",
        "dvcId": "1",
        "sdcId": "SIMCU0100000009",
        "mrcNo": "SIM00000009",
        "cmcKey": "K" * 32,
    }
    answer = {"resultCd": "000", "resultMsg": "ok", "resultDt": "20261120120000", "data": {"info": {**facts, **info}}}
    return json.dumps(answer)


def waiting_device(**changes: Any) -> Device:
    return make_company(**changes).device


def calls(kra: Simulator) -> int:
    return sum("selectInitOsdcInfo" in str(request) for request in kra.requests())


def names(device: Device) -> list[str]:
    return list(Event.objects.filter(subject=device.public_id).order_by("id").values_list("name", flat=True))


def test_an_activated_device_has_its_key_sealed_and_its_control_unit_known(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00")
    device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem) == ("active", "")
    assert device.control_unit_id.startswith("SIMCU")
    assert device.machine_code
    assert device.activated_at == NOW
    key = credentials_for(device).key
    assert len(key) >= 8
    assert device.sealed_key is not None
    assert key.encode() not in bytes(device.sealed_key)
    assert names(device) == ["device.added", "device.activation_started", "device.activated"]


def test_the_raw_answer_is_kept_sealed(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00")
    device = activate_device(device=waiting_device(), now=NOW)
    assert device.sealed_answers is not None
    opened = json.loads(open_for(device.company, device_answers_aad(device.public_id), device.sealed_answers))
    assert [kept["http_status"] for kept in opened] == [200]
    assert credentials_for(device).key.encode() not in bytes(device.sealed_answers)


def test_a_second_request_shows_the_device_and_calls_nobody(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00")
    device = activate_device(device=waiting_device(), now=NOW)
    again = activate_device(device=device, now=NOW, again=True)
    assert again.status == "active"
    assert calls(kra) == 1


def test_a_device_that_kra_activated_before_is_in_trouble_and_says_what_to_do(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00")
    device = activate_device(device=waiting_device(), now=NOW)
    Device.objects.filter(pk=device.pk).update(status="waiting", sealed_key=None, sealed_answers=None)
    device = activate_device(device=device, now=NOW)
    assert (device.status, device.problem_code, device.problem) == ("trouble", "902", SENTENCES["902"])
    assert last_message(device)
    assert activate_device(device=device, now=NOW).problem_code == "902"
    assert calls(kra) == 2
    assert names(device)[-1] == "device.activation_failed"


def test_an_unknown_serial_can_be_tried_again_once_kra_has_approved_it(kra: Simulator) -> None:
    device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem_code, device.problem) == ("trouble", "901", SENTENCES["901"])
    kra.approve(PIN, "00", "AMANI-00")
    assert activate_device(device=device, now=NOW).status == "trouble"
    assert activate_device(device=device, now=NOW, again=True).status == "active"
    assert calls(kra) == 2


def test_the_wrong_kind_of_device_is_named(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00", kind="vscu")
    device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem_code, device.problem) == ("trouble", "903", SENTENCES["903"])


def test_the_other_wrong_kind_of_device_is_named(point_at: Any) -> None:
    refused = json.dumps({"resultCd": "905", "resultMsg": "x", "resultDt": "20261120120000", "data": None})
    with ending(refused) as server:
        point_at(server.url)
        device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem) == ("trouble", SENTENCES["905"])


def test_a_vscu_goes_on_after_the_last_number_its_program_knows(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00", kind="vscu")
    device = activate_device(device=waiting_device(kind="vscu"), now=NOW)
    assert device.status == "active"
    assert device.sealed_key is None
    assert device.lane.next_number == 1


@pytest.mark.parametrize(("ours", "theirs", "next_number"), [(1, 41, 42), (100, 41, 100), (1, None, 1)])
def test_a_vscus_numbers_go_on_and_never_back(point_at: Any, ours: int, theirs: int | None, next_number: int) -> None:
    with ending(given_by_kra(cmcKey=None, lastSaleInvcNo=theirs)) as server:
        point_at(server.url)
        device = waiting_device(kind="vscu")
        Lane.objects.filter(pk=device.lane_id).update(next_number=ours)
        device = activate_device(device=device, now=NOW)
    assert (device.status, device.lane.next_number) == ("active", next_number)


def test_a_lost_answer_leaves_it_activating_and_is_not_repeated(point_at: Any) -> None:
    with ending(None) as server:
        point_at(server.url)
        device = activate_device(device=waiting_device(), now=NOW)
        assert (device.status, device.problem) == ("activating", SENTENCES["lost"])
        assert activate_device(device=device, now=NOW).status == "activating"
        assert activate_device(device=device, now=NOW + 2 * LOST_AFTER).status == "activating"
        assert server.requests == 1
    assert Attempt.objects.get().outcome == "no_answer"


def test_a_lost_answer_that_kra_kept_shows_as_902_when_a_person_asks_again(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00")
    kra.fault("device_init", "answer_lost", times=1)
    device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem) == ("activating", SENTENCES["lost"])
    device = activate_device(device=device, now=NOW, again=True)
    assert (device.status, device.problem_code) == ("trouble", "902")


def test_a_refused_connection_leaves_it_waiting_and_may_simply_be_tried_again(kra: Simulator, point_at: Any) -> None:
    kra.approve(PIN, "00", "AMANI-00")
    point_at(refusing())
    device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem, device.problem_code) == ("waiting", SENTENCES["not_sent"], "not_connected")
    point_at(kra.url)
    device = activate_device(device=device, now=NOW)
    assert (device.status, device.problem) == ("active", "")


def test_an_answer_that_cannot_be_read_is_kept_for_a_person(point_at: Any) -> None:
    cut = given_by_kra()[:-40]
    with ending(cut) as server:
        point_at(server.url)
        device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem) == ("activating", SENTENCES["unreadable"])
    assert device.sealed_answers is not None
    assert b"K" * 32 not in bytes(device.sealed_answers)
    assert "K" * 32 not in str(list(Attempt.objects.values()))


def test_a_later_answer_never_overwrites_one_that_may_hold_the_key(point_at: Any) -> None:
    with ending(given_by_kra()[:-40]) as server:
        point_at(server.url)
        device = activate_device(device=waiting_device(), now=NOW)
    with ending(REFUSED_902) as server:
        point_at(server.url)
        device = activate_device(device=device, now=NOW + timedelta(days=1), again=True)
    assert device.problem_code == "902"
    assert device.sealed_answers is not None
    opened = json.loads(open_for(device.company, device_answers_aad(device.public_id), device.sealed_answers))
    assert len(opened) == 2


def test_success_without_a_key_is_no_success(point_at: Any) -> None:
    with ending(given_by_kra(cmcKey=None)) as server:
        point_at(server.url)
        device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem) == ("trouble", SENTENCES["key_missing"])


def test_an_id_that_is_too_long_is_never_cut(point_at: Any) -> None:
    with ending(given_by_kra(sdcId="S" * 19)) as server:
        point_at(server.url)
        device = activate_device(device=waiting_device(), now=NOW)
    assert (device.status, device.problem) == ("activating", SENTENCES["unreadable"])


def test_a_crash_after_the_answer_was_stored_is_finished_from_the_store(point_at: Any) -> None:
    with ending(given_by_kra()) as server:
        point_at(server.url)
        device = activate_device(device=waiting_device(), now=NOW)
        Device.objects.filter(pk=device.pk).update(status="activating", sealed_key=None, control_unit_id="")
        device = activate_device(device=device, now=NOW)
        assert (device.status, device.control_unit_id) == ("active", "SIMCU0100000009")
        assert server.requests == 1


def test_a_crash_while_kra_was_called_is_never_repeated_by_itself(point_at: Any) -> None:
    device = waiting_device()
    Device.objects.filter(pk=device.pk).update(status="activating", activation_sent_at=NOW)
    with ending(given_by_kra()) as server:
        point_at(server.url)
        Device.objects.filter(pk=device.pk).update(profile="simulator")
        for later in (timedelta(0), timedelta(days=1)):
            assert activate_device(device=device, now=NOW + later).status == "activating"
        assert activate_device(device=device, now=NOW + timedelta(minutes=1), again=True).status == "activating"
        assert server.requests == 0
        assert activate_device(device=device, now=NOW + 2 * LOST_AFTER, again=True).status == "active"
        assert server.requests == 1


def test_what_kra_knows_of_the_branch_fills_only_what_is_empty(point_at: Any) -> None:
    with ending(given_by_kra(bhfNm="KRA NAME", locDesc="KRA STREET", prvncNm="NAIROBI CITY")) as server:
        point_at(server.url)
        activate_device(device=waiting_device(address="", city=""), now=NOW)
    branch = Branch.objects.get()
    assert (branch.name, branch.address, branch.city) == ("Head office", "KRA STREET", "Nairobi City")


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_make_one_call(kra: Simulator) -> None:
    kra.approve(PIN, "00", "AMANI-00")
    device = waiting_device()
    start, ended = threading.Barrier(4), []

    def click() -> None:
        try:
            start.wait(10)
            ended.append(activate_device(device=device, now=NOW).status)
        finally:
            connection.close()

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join(30)
    assert len(ended) == 4
    assert set(ended) <= {"active", "activating"}
    assert calls(kra) == 1
    device.refresh_from_db()
    assert device.status == "active"


def test_a_branch_has_one_active_device(kra: Simulator) -> None:
    made = make_company()
    make_active(made.device)
    second = add_device(company=made.company, branch=made.branch, environment="sandbox", serial="AMANI-00B")
    assert second.lane == made.device.lane
    with pytest.raises(BranchHasActiveDevice):
        activate_device(device=second, now=NOW)
    second.refresh_from_db()
    assert second.status == "waiting"
    assert calls(kra) == 0


def test_a_production_device_with_a_simulator_is_stopped_before_anything_is_written(point_at: Any) -> None:
    point_at("http://127.0.0.1:9")
    device = waiting_device(environment="production")
    Device.objects.filter(pk=device.pk).update(profile="simulator")
    with pytest.raises(WrongProfile):
        activate_device(device=device, now=NOW)
    device.refresh_from_db()
    assert device.status == "waiting"


def test_each_branch_has_a_series_of_its_own_and_each_environment_too() -> None:
    made = make_company()
    other = add_branch(made.company, code="01", name="Westlands")
    go_live(made.company)
    lanes = {
        made.device.lane,
        add_device(company=made.company, branch=other, environment="sandbox", serial="A").lane,
        add_device(company=made.company, branch=made.branch, environment="production", serial="A").lane,
    }
    assert len(lanes) == 3
    assert {(lane.pin, lane.series) for lane in lanes} == {(PIN, "invoice")}


def test_a_serial_is_used_once_in_an_environment() -> None:
    made = make_company()
    with pytest.raises(SerialTaken):
        add_device(company=made.company, branch=made.branch, environment="sandbox", serial="AMANI-00")
