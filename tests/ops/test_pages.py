"""Pages that are loaded while tills are already served."""

import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from gateway.ops import pages


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    return [b"hello"]


class Resolver:
    """As slow to load its pages as it is told."""

    def __init__(self) -> None:
        self.may_load = threading.Event()

    @property
    def url_patterns(self) -> list[Any]:
        self.may_load.wait()
        return []


def test_the_first_caller_waits_until_the_pages_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver, answers = Resolver(), []
    monkeypatch.setattr(pages, "get_resolver", lambda: resolver)
    application = pages.Pages(hello)
    caller = threading.Thread(target=lambda: answers.append(application({}, print)))
    caller.start()
    caller.join(0.2)
    assert not answers
    resolver.may_load.set()
    caller.join(5)
    assert answers == [[b"hello"]]


def test_what_cannot_be_loaded_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("a module is missing")

    told = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        monkeypatch.setattr(pages, "get_resolver", broken)
        application = pages.Pages(hello)
        assert told.wait(5)
        assert application({}, print) == [b"hello"]  # nobody waits for ever while the process ends
    finally:
        signal.signal(signal.SIGTERM, before)
