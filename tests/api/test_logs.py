"""What happened to a company can be seen by its own people, and by nobody else."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from gateway.audit.calls import Call, CallLog
from gateway.audit.models import ApiCall, Event
from gateway.audit.services import record
from gateway.lanes.models import Attempt
from gateway.lanes.upkeep import cleanup_old_logs
from gateway.lib.clock import utc_now
from gateway.tenants.models import Role
from tests.api.caller import Caller
from tests.api.problems import problem
from tests.api.rows import make_invoice
from tests.tenants.factories import key_with, make_stranger

pytestmark = pytest.mark.django_db
LOGS = "/api/logs/"
SECRET = "rvp_live_a1b2c3d4_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6"


def make_call(company: Any, **changes: Any) -> ApiCall:
    told = {"environment": "sandbox", "at": utc_now(), "method": "POST", "path": "/api/sales/", "status": 201}
    return ApiCall.objects.create(
        company=company, **{**told, "duration_ms": 12, "key_prefix": "rvp_sbx_abc", **changes}
    )


def make_attempt(company: Any, **changes: Any) -> Attempt:
    told = {"environment": "sandbox", "kind": "invoice", "operation": "sales_save", "started_at": utc_now()}
    return Attempt.objects.create(
        company=company, **{**told, "duration_ms": 50, "outcome": "done", "code": "000", **changes}
    )


def entries(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = caller.get(LOGS, query)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


def test_calls_messages_and_events_stand_in_one_list_by_time(owner: Caller, amani: Any) -> None:
    now = utc_now()
    make_call(amani.company, at=now + timedelta(seconds=1))
    make_attempt(amani.company, started_at=now + timedelta(seconds=2))
    make_call(amani.company, at=now + timedelta(seconds=3), status=422, code="invalid")
    listed = entries(owner)
    assert [row["kind"] for row in listed][:3] == ["api", "kra", "api"]
    assert {row["kind"] for row in listed[3:]} == {"event"}
    assert listed[0]["severity"] == "warning" and listed[0]["code"] == "invalid"
    assert listed[0]["text"] == "POST /api/sales/ was answered 422"


def test_nothing_happened_yet(amani: Any, owner: Caller) -> None:
    assert entries(owner, kind="kra") == [] and entries(owner, code="never.heard") == []


def test_pages_neither_repeat_nor_skip_while_entries_arrive(owner: Caller, amani: Any) -> None:
    moment = utc_now()
    for number in range(6):  # several at the very same moment, of every kind
        at = moment + timedelta(seconds=number // 3)
        make_call(amani.company, at=at)
        make_attempt(amani.company, started_at=at)
    wanted = len(entries(owner, limit=200))
    seen: list[str] = []
    cursor = None
    while True:
        answer = owner.get(LOGS, {"limit": 4, **({"cursor": cursor} if cursor else {})}).json()
        seen += [f"{row['kind']} {row['at']} {row['text']}" for row in answer["entries"]]
        make_call(amani.company, at=utc_now() + timedelta(hours=1))
        cursor = answer["next"]
        if cursor is None:
            break
    assert len(seen) == wanted


def test_a_sale_is_followed_by_its_reference_by_its_id_and_by_its_device(owner: Caller, amani: Any) -> None:
    invoice = make_invoice(amani.device, "POS-1")
    other = make_invoice(amani.device, "POS-2")
    for one in (invoice, other):
        make_call(amani.company, subject=one.public_id)
        make_attempt(amani.company, document_id=one.pk)
        record(amani.company, "invoice.signed", subject=one.public_id, environment="sandbox", reference=one.reference)
    for query in ({"reference": "POS-1"}, {"subject": invoice.public_id}):
        assert sorted(row["kind"] for row in entries(owner, **query)) == ["api", "event", "kra"], query
    of_device = entries(owner, device="AMANI-00")
    assert sorted(row["kind"] for row in of_device) == ["api", "api", "event", "event", "event", "kra", "kra"]
    assert entries(owner, reference="POS-9") == []


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ({"severity": "warning"}, ["api", "kra"]),
        ({"severity": "critical"}, ["api", "event", "kra"]),
        ({"severity": "notice"}, ["event"]),
        ({"code": "894"}, ["kra"]),
        ({"code": "invalid"}, ["api"]),
        ({"code": "key.lost"}, ["event"]),
    ],
)
def test_filters(owner: Caller, amani: Any, query: dict[str, str], kinds: list[str]) -> None:
    make_call(amani.company, status=422, code="invalid")
    make_call(amani.company, status=500, code="unexpected")
    make_attempt(amani.company, outcome="refused", code="894")
    make_attempt(amani.company, outcome="device_trouble", code="901")
    record(amani.company, "key.lost", severity="critical")  # type: ignore[arg-type]
    assert sorted(row["kind"] for row in entries(owner, **query)) == kinds


def test_days_are_those_of_kenya(owner: Caller, amani: Any) -> None:
    from datetime import datetime

    for text in ("2026-11-19T20:59:00+00:00", "2026-11-19T21:00:00+00:00", "2026-11-20T20:59:00+00:00"):
        make_call(amani.company, at=datetime.fromisoformat(text))
    found = entries(owner, kind="api", date_from="2026-11-20", date_to="2026-11-20")
    assert [row["at"] for row in found] == ["2026-11-20T20:59:00Z", "2026-11-19T21:00:00Z"]


def test_secrets_are_masked_in_every_kind(owner: Caller, amani: Any) -> None:
    make_call(amani.company, path=f"/api/{SECRET}/")
    make_attempt(amani.company, message=f"cmcKey={SECRET}", request=f'{{"cmcKey": "{SECRET}"}}', answer=SECRET)
    record(
        amani.company,
        "thing.changed",
        note=SECRET,
        before={"password": "hunter22"},
        after={"list": [{"api_key": "x1y2"}]},
    )
    shown = owner.get(LOGS, {"bodies": "true"}).content.decode()
    assert '"request"' in shown and SECRET not in shown and "Zm9vYmFy" not in shown
    assert "hunter22" not in shown and "x1y2" not in shown


def test_a_stranger_sees_nothing_of_it(amani: Any, owner: Caller) -> None:
    stranger = make_stranger()
    invoice = make_invoice(amani.device, "POS-1")
    make_call(amani.company, subject=invoice.public_id)
    make_attempt(amani.company, document_id=invoice.pk)
    theirs = Caller(stranger.key_text)
    assert {row["kind"] for row in entries(theirs)} == {"event"}
    assert entries(theirs, reference="POS-1") == [] and entries(theirs, subject=invoice.public_id) == []
    problem(theirs.get(LOGS, {"company": amani.company.public_id}), 404, "not_found")
    problem(theirs.get(LOGS, {"device": "AMANI-00"}), 404, "not_found")
    cursor = owner.get(LOGS, {"limit": 1}).json()["next"]
    assert str(amani.company.public_id) not in theirs.get(LOGS, {"cursor": cursor}).content.decode()


@pytest.mark.parametrize(
    ("role", "status"), [(Role.OWNER, 200), (Role.ACCOUNTANT, 200), (Role.CASHIER, 403), (Role.VIEWER, 403)]
)
def test_who_may_read_it(amani: Any, role: Role, status: int) -> None:
    caller = Caller(key_with(amani.company, role)[1])
    assert caller.get(LOGS).status_code == status
    assert Caller(None).get(LOGS).status_code == 401


def test_a_key_sees_its_own_environment_and_what_is_about_the_whole_company(owner: Caller, amani: Any) -> None:
    make_call(amani.company, environment="production")
    record(amani.company, "company.renamed")
    assert {row["code"] for row in entries(owner)} >= {"company.renamed"}
    assert entries(owner, kind="api") == []
    problem(owner.get(LOGS, {"environment": "production"}), 404, "not_found")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"kind": "sms"}, "kind"),
        ({"severity": "bad"}, "severity"),
        ({"subject": "7"}, "subject"),
        ({"date_from": "yesterday"}, "date_from"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"sort": "at"}, "sort"),
    ],
)
def test_wrong_filters_are_named(owner: Caller, query: dict[str, Any], name: str) -> None:
    answer = owner.get(LOGS, query)
    assert answer.status_code == 422 and name in [field["field"] for field in answer.json()["fields"]]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "MS4yLjM", "OTk5OTk5OTk5OTk5OTk5OTk5OS4wLjE", "MS45LjE"])
def test_a_cursor_that_is_not_ours_is_refused_or_leads_nowhere(owner: Caller, cursor: str) -> None:
    answer = owner.get(LOGS, {"cursor": cursor})
    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        assert answer.json()["entries"] == []


def test_the_log_of_calls_drops_what_does_not_fit_and_counts_it(amani: Any) -> None:
    log = CallLog(mask=lambda text: text.replace("secret", "***"), most=3)
    at, subject = utc_now(), uuid.uuid4()
    for number in range(5):
        log.add(
            Call(
                company_id=amani.company.pk,
                environment="sandbox",
                at=at,
                method="GET",
                path=f"/api/secret/{number}/\0",
                status=200,
                code="",
                duration_ms=1,
                key_prefix="k1",
                address="10.0.0.1",
                request_id="r1",
                subject=subject if number else None,
            )
        )
    assert log.write() == 3 and log.dropped == 2
    kept = ApiCall.objects.order_by("id")
    assert [call.path for call in kept] == [f"/api/***/{n}/\N{REPLACEMENT CHARACTER}" for n in range(3)]
    assert {(call.company_id, call.at, call.address, call.status) for call in kept} == {
        (amani.company.pk, at, "10.0.0.1", 200)
    }
    assert [call.subject for call in kept] == [None, subject, subject]


def test_old_calls_are_cleaned_up(amani: Any, settings: Any) -> None:
    make_call(amani.company, at=utc_now() - timedelta(days=settings.RETENTION_CALL_DAYS, hours=1))
    make_call(amani.company)
    events = Event.objects.count()
    assert cleanup_old_logs() == 1 and ApiCall.objects.count() == 1 and Event.objects.count() == events
