"""From where the present work was asked: bound once, where a request begins, read wherever a trace of it is kept."""

import contextlib
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Origin:
    """One request. Its door knows address and id; what is found out on the way is filled in by whoever finds it."""

    address: str = ""
    request_id: str = ""
    company_id: int | None = None
    environment: str = ""
    key_prefix: str = ""
    code: str = ""  # of the problem it was answered with
    subject: uuid.UUID | None = None  # public id of the document it was about


_origin: ContextVar[Origin | None] = ContextVar("origin", default=None)


def origin() -> Origin:
    """Where the present work comes from; of work that no request asked for, nothing is known."""
    return _origin.get() or Origin()


@contextlib.contextmanager
def came_from(origin: Origin) -> Iterator[Origin]:
    """Everything in this block, threads started with its context included, was asked for there."""
    token = _origin.set(origin)
    try:
        yield origin
    finally:
        _origin.reset(token)
