"""How the whole installation is doing, as a list of checks that each say what to do. It asks the database, not KRA."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.cache import caches
from django.core.mail import mail_admins
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Exists, Min, OuterRef, Q

from gateway.devices.contact import SILENT_HOURS
from gateway.devices.models import Device
from gateway.lanes.chores import MOST_FAILURES, given_up_chores
from gateway.lanes.models import Attempt, Job, Lane, Process
from gateway.lanes.months import missing_months
from gateway.lib.clock import utc_now
from gateway.ops.beat import NoBroker, last_sent_at, missing_beat_rows
from gateway.ops.initial import unapplied_migrations
from gateway.sales.models import Invoice
from gateway.tenants.isolation import weaknesses
from gateway.tenants.models import Environment
from gateway.wiring import SCHEDULE

OK, WARN, FAIL = "ok", "warn", "fail"
WARN_AGE, FAIL_AGE = timedelta(minutes=5), timedelta(hours=1)  # of the oldest lane that nobody takes
LATE = timedelta(minutes=10)  # a beat that has not sent the work of every minute for so long does not run
ACTIVATING = timedelta(minutes=5)
NEWEST = 50  # messages by which KRA is judged
NO_ANSWER = ("not_sent", "no_answer", "busy")
WARN_FREE, FAIL_FREE = 1_000_000_000, 100_000_000  # bytes left on the disk
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Check:
    """What was found; `todo` is empty when all is well; `more` is for those who want every detail."""

    name: str
    state: str
    said: str
    todo: str = ""
    more: Sequence[str] = ()


def run_checks() -> list[Check]:
    """Every check, those that need the database only when it is there and up to date."""
    checks = [_database()]
    if checks[0].state == OK:
        checks.append(_guarded("migrations", _migrations))
        if checks[-1].state == OK:
            checks += [_guarded(name, check) for name, check in _CHECKS.items()]
    return [*checks, _broker(), _disk()]


def exit_code(checks: Iterable[Check]) -> int:
    """0 all is well, 1 warnings, 2 failures."""
    states = {check.state for check in checks}
    return 2 if FAIL in states else 1 if WARN in states else 0


def send_alerts(checks: Sequence[Check], *, state_file: Path) -> bool:
    """Mail ADMINS what is not well, once until it changes; whether a mail went out.

    What was told stands in `state_file`, not in the database, for that may be what is away. Raises OSError or
    smtplib.SMTPException when the mail does not go out; then nothing is noted and the next run tries again.
    """
    wrong = {check.name: check.state for check in checks if check.state != OK}
    told = json.loads(state_file.read_text(encoding="utf-8")) if state_file.exists() else {}
    if wrong == told:
        return False
    if wrong and settings.ADMINS:
        worst = "failure" if FAIL in wrong.values() else "warning"
        lines = [f"{check.state:5} {check.name}: {check.said} {check.todo}" for check in checks if check.state != OK]
        mail_admins(f"{worst}: {', '.join(wrong)}", "\n".join([*lines, "", settings.SYSTEM_URL]))
    state_file.parent.mkdir(parents=True, exist_ok=True)
    state_file.write_text(json.dumps(wrong), encoding="utf-8")
    return bool(wrong and settings.ADMINS)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except DatabaseError as error:
        return Check(name, FAIL, f"The database did not answer: {error}.", "Look at the database's log.")


def _database() -> Check:
    began = utc_now()
    try:
        with transaction.atomic():
            Process.objects.create(token=uuid.uuid4(), name="status check", expires_at=began)
            transaction.set_rollback(True)
    except DatabaseError as error:
        return Check(
            "database", FAIL, f"It cannot be written: {_first_line(error)}.", "Sales are not taken. Start or mend it."
        )
    milliseconds = (utc_now() - began).total_seconds() * 1000
    return Check("database", OK, f"{connection.vendor} reads and writes ({milliseconds:.0f} ms).")


def _migrations() -> Check:
    if missing := unapplied_migrations():
        return Check("migrations", FAIL, f"{len(missing)} are missing.", "Run: manage.py migrate", missing)
    return Check("migrations", OK, "The database is up to date.")


def _engine() -> Check:
    living = list(Process.objects.filter(expires_at__gt=utc_now()).values_list("name", "started_at"))
    more = [f"{name}, since {started_at:%Y-%m-%d %H:%M} UTC" for name, started_at in living]
    if not living:
        return Check("engine", FAIL, "None is running: nothing is taken or signed.", "Start: manage.py serve")
    return Check("engine", OK, f"{len(living)} running.", more=more)


def _queue() -> Check:
    now = utc_now()
    living = Process.objects.filter(token=OuterRef("owner"), expires_at__gt=now)
    waiting = Lane.objects.filter(~Exists(living), hold_reason="", due_at__isnull=False)
    oldest = waiting.aggregate(oldest=Min("due_at"))["oldest"]
    age = max(now - oldest, timedelta()) if oldest else timedelta()
    jobs = dict(
        Job.objects.filter(~Q(state=Job.State.CLOSED)).values_list("state").annotate(Count("id")).order_by("state")
    )
    queued, started = jobs.get(Job.State.QUEUED, 0), jobs.get(Job.State.STARTED, 0)
    said = f"{queued} waiting, {started} with KRA, the oldest lane is due for {int(age.total_seconds())} s."
    if age < WARN_AGE:
        return Check("queue", OK, said if queued or started else "Nothing waits.")
    todo = "No engine takes it: see that `serve` or `run_engine` runs and has room."
    return Check("queue", FAIL if age >= FAIL_AGE else WARN, said, todo)


def _lanes() -> Check:
    held = Lane.objects.exclude(hold_reason="")
    count = held.count()
    if not count:
        return Check("lanes", OK, "None is held.")
    more = [f"{lane}: {lane.hold_reason}" for lane in held.order_by("held_at")[:MOST_NAMED]]
    return Check("lanes", WARN, f"{count} held until a person has looked.", "Read the reasons (--verbose).", more)


def _unknown() -> Check:
    started = Job.objects.filter(state=Job.State.STARTED, kind="invoice").values("document_id")
    unknown = Invoice.objects.filter(pk__in=started, status=Invoice.Status.UNKNOWN)
    count = unknown.count()
    if not count:
        return Check("unknown", OK, "KRA's answer is known for every invoice.")
    more = [f"{invoice.public_id} since {invoice.unanswered_at}" for invoice in unknown.order_by("id")[:MOST_NAMED]]
    todo = "The gateway asks KRA again by itself; look if it stays so."
    return Check("unknown", WARN, f"{count} invoices whose answer from KRA is missing.", todo, more)


def _chores() -> Check:
    given_up = given_up_chores()
    kinds = list(given_up.values_list("kind").annotate(Count("id")).order_by("kind"))
    if not kinds:
        return Check("chores", OK, "No background work was given up.")
    said = ", ".join(f"{count} {kind}" for kind, count in kinds)
    more = [f"{chore}: {chore.last_error}" for chore in given_up.order_by("-due_at")[:MOST_NAMED]]
    todo = "Read the errors (--verbose) and mend the cause; then it can be asked for anew."
    return Check("chores", WARN, f"Given up after {MOST_FAILURES} failures: {said}.", todo, more)


def _devices() -> Check:
    now = utc_now()
    trouble = Device.objects.filter(
        Q(status=Device.Status.TROUBLE)
        | Q(status=Device.Status.ACTIVATING, activation_sent_at__lt=now - ACTIVATING)
        | Q(status=Device.Status.ACTIVE, last_contact_at__lt=now - timedelta(hours=SILENT_HOURS[0]))
    )
    count = trouble.count()
    active = Device.objects.filter(status=Device.Status.ACTIVE).count()
    if not count:
        return Check("devices", OK, f"{active} active.")
    more = [
        f"{device}: {device.status}, {device.problem or f'last contact {device.last_contact_at}'}"
        for device in trouble.order_by("pk")[:MOST_NAMED]
    ]
    return Check("devices", WARN, f"{count} silent or in trouble, {active} active.", "See each (--verbose).", more)


def _kra() -> Check:
    away: list[str] = []
    more: list[str] = []
    for environment in Environment:
        newest = Attempt.objects.filter(environment=environment).order_by("-id")[:NEWEST]
        rows = [row for row in newest if row.started_at > utc_now() - timedelta(hours=1)]
        answered = [row for row in rows if row.outcome not in NO_ANSWER]
        if rows and not answered:
            away.append(environment.label)
        if rows:
            more.append(f"{environment.label}: {len(answered)} of the last {len(rows)} messages were answered")
    if away:
        todo = "Sales are kept and signed when it is back. If it stays so, look at the line and KRA's notices."
        return Check("kra", WARN, f"No answer in {', '.join(away)} lately.", todo, more)
    return Check("kra", OK, "It answers." if more else "Nothing was sent in the last hour.", more=more)


def _schedule() -> Check:
    try:
        missing, last = missing_beat_rows(SCHEDULE), last_sent_at(SCHEDULE)
    except NoBroker:
        if settings.RUN_SCHEDULER:
            return Check("schedule", OK, "`serve` runs the periodic work.")
        return Check("schedule", WARN, "Nobody runs the periodic work.", "Set REDIS_URL (Celery) or RUN_SCHEDULER.")
    if missing:
        said = f"{len(missing)} rows of Celery's beat are missing or off."
        return Check("schedule", WARN, said, "Run: manage.py setup_celery_beat", missing)
    if last is None or last < utc_now() - LATE:
        said = f"Celery's beat last sent work: {last or 'never'}."
        return Check("schedule", WARN, said, "Start: celery -A gateway beat")
    return Check("schedule", OK, f"Celery's beat sends the periodic work, last at {last:%H:%M:%S} UTC.")


def _months() -> Check:
    if missing := missing_months():
        said = f"{len(missing)} tables of this month and the next are missing; what they would hold lies together."
        return Check("months", WARN, said, "Run: manage.py partitions", missing)
    return Check("months", OK, "The tables of this month and the next are there.")


def _isolation() -> Check:
    if connection.vendor == "sqlite":
        return Check("isolation", OK, "SQLite has no row-level security; every query starts from its company.")
    if weak := weaknesses():
        todo = "Run: manage.py secure_database (see docs/how-to/run-on-postgresql.md)"
        return Check("isolation", WARN, "Row-level security is not in force.", todo, weak)
    return Check("isolation", OK, "Row-level security is in force.")


def _settings() -> Check:
    wrong = list(_risky_settings())
    if wrong:
        return Check("settings", WARN, " ".join(wrong), "Change the settings and start again.")
    return Check("settings", OK, "Nothing risky is set.")


def _risky_settings() -> Iterator[str]:
    if settings.DEBUG:
        yield "DEBUG is on."
    if "*" in settings.ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS lets every host name in."
    if Device.objects.filter(environment=Environment.PRODUCTION).exists():
        if settings.OPEN_ONBOARDING:
            yield "OPEN_ONBOARDING is on beside production devices."
        if not settings.SYSTEM_URL.startswith("https://"):
            yield "SYSTEM_URL is not https beside production devices."


def _broker() -> Check:
    if not settings.REDIS_URL:
        return Check("broker", OK, "Not configured, and not needed by one process.")
    try:
        caches["redis"].get("status")
    except Exception as error:  # whatever the Redis client raises: it does not work
        todo = "Sales go on without it; periodic work waits. Start or mend Redis."
        return Check("broker", WARN, f"Redis does not answer: {_first_line(error)}.", todo)
    return Check("broker", OK, "Redis answers.")


def _disk() -> Check:
    is_file = connection.vendor == "sqlite"
    folder = Path(str(connection.settings_dict["NAME"])).parent if is_file else settings.VAR_DIR
    free = shutil.disk_usage(folder).free
    state = FAIL if free < FAIL_FREE else WARN if free < WARN_FREE else OK
    said = f"{free / 1_000_000_000:.1f} GB free where {'the database lies' if is_file else 'our files lie'}."
    return Check("disk", state, said, "" if state == OK else "Make room: a full disk takes no sales.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


_CHECKS: dict[str, Callable[[], Check]] = {
    "engine": _engine,
    "queue": _queue,
    "lanes": _lanes,
    "unknown": _unknown,
    "chores": _chores,
    "devices": _devices,
    "kra": _kra,
    "schedule": _schedule,
    "months": _months,
    "isolation": _isolation,
    "settings": _settings,
}
