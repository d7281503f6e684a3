"""How lanes stand: which have work, what each is doing or waiting for, and since when."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import Count, DateTimeField, Exists, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from gateway.lanes.models import Attempt, Job, Lane, Process

LONGEST_LEASE = timedelta(minutes=10)  # a heartbeat further ahead comes from a wrong clock and protects nothing

Doing = Literal["held", "resting", "working", "orphaned", "due", "idle"]


class LaneUnknown(Exception):
    """There is no such lane; the text says how one is named."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A lane as it is now. `waiting` counts its jobs that are not closed, `oldest_at` is when the oldest came.

    `doing`: held (until a person decides), resting (until `due_at`), working (a live process has it), orphaned (its
    process died and no other has taken it over yet), due (waits for a process), idle (nothing to do). `owner_alive` is
    None when nobody owns it.
    """

    lane: Lane
    waiting: int
    oldest_at: datetime | None
    owner_alive: bool | None
    doing: Doing


@dataclass(frozen=True, slots=True)
class Story:
    """A lane with what it did last and does next, and the messages about the job that is under way."""

    standing: Standing
    closed: list[Job]  # oldest first
    open: list[Job]  # in the order of their turns
    attempts: list[Attempt]  # of the first open job, oldest first


def find_lane(name: str) -> Lane:
    """The lane called `environment/PIN/branch/series`, or with that row id. Raises LaneUnknown."""
    lanes = Lane.objects.select_related("company")
    if name.isascii() and name.isdigit() and len(name) < 19:
        found = lanes.filter(pk=int(name)).first()
    else:
        parts = name.strip().strip("/").split("/")
        if len(parts) != 4:
            raise LaneUnknown(f"{name!r} names no lane: write environment/PIN/branch/series, or its id.")
        environment, pin, branch, series = parts
        found = lanes.filter(environment=environment, pin=pin.upper(), branch=branch, series=series).first()
    if found is None:
        raise LaneUnknown(f"There is no lane {name}. `lanes list` shows those that have something to do.")
    return found


def is_alive(owner: uuid.UUID | None) -> bool:
    """Whether the process of a lane's token has a fresh heartbeat, by the database's clock."""
    return owner is not None and owner in _alive(Process.objects.filter(token=owner))


def lanes_with_work(*, now: datetime, pin: str = "", held: bool = False) -> list[Standing]:
    """Every lane that has an open job or is held; only one company's (its PIN) or only held ones when asked for.

    Held ones come first, then by the age of their oldest job.
    """
    lanes = Lane.objects.all()
    if pin:
        lanes = lanes.filter(pin=pin)
    lanes = lanes.exclude(hold_reason="") if held else lanes.filter(Exists(_open_jobs()) | ~Q(hold_reason=""))
    standings = _standings(lanes, now)
    return sorted(standings, key=lambda one: (one.doing != "held", one.oldest_at or now, one.lane.pk))


def lane_story(lane: Lane, *, now: datetime, jobs: int = 10) -> Story:
    """A lane with its last and next so many jobs."""
    (standing,) = _standings(Lane.objects.filter(pk=lane.pk), now)
    closed = list(lane.jobs.filter(state=Job.State.CLOSED).order_by("-pk")[:jobs])[::-1]
    waiting = list(lane.jobs.exclude(state=Job.State.CLOSED).order_by("-state", "pk")[:jobs])
    attempts: list[Attempt] = []
    if waiting:
        about = Attempt.objects.filter(kind=waiting[0].kind, document_id=waiting[0].document_id)
        attempts = list(about.order_by("-pk")[:jobs])[::-1]
    return Story(standing, closed, waiting, attempts)


def _open_jobs() -> QuerySet[Job]:
    return Job.objects.filter(lane=OuterRef("pk")).exclude(state=Job.State.CLOSED).order_by()


def _standings(lanes: QuerySet[Lane], now: datetime) -> list[Standing]:
    by_lane = _open_jobs().values("lane")
    rows = list(
        lanes.annotate(
            waiting=Subquery(by_lane.annotate(made=Count("pk")).values("made")),
            oldest_at=Subquery(
                by_lane.annotate(made=Min("created_at")).values("made"), output_field=DateTimeField(null=True)
            ),
        )
    )
    alive = _alive(Process.objects.all())
    return [
        Standing(
            lane=lane,
            waiting=lane.waiting or 0,
            oldest_at=lane.oldest_at,
            owner_alive=None if lane.owner is None else lane.owner in alive,
            doing=_doing(lane, lane.waiting or 0, lane.owner in alive, now),
        )
        for lane in rows
    ]


def _doing(lane: Lane, waiting: int, owner_alive: bool, now: datetime) -> Doing:
    if lane.hold_reason:
        return "held"
    if lane.owner is not None:
        return "working" if owner_alive else "orphaned"
    if not waiting:
        return "idle"
    return "resting" if lane.due_at is not None and lane.due_at > now else "due"


def _alive(processes: QuerySet[Process]) -> set[uuid.UUID]:
    beats = processes.annotate(now=Now()).values_list("token", "expires_at", "now")
    return {token for token, expires_at, now in beats if now <= expires_at <= now + LONGEST_LEASE}
