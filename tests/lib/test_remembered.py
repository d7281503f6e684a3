"""What is remembered for a moment: how often it is read, and what those who wait for one reading get."""

import asyncio
import functools
from collections.abc import Awaitable, Callable

from gateway.lib.remembered import Remembered


def on_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    return run


class Library:
    """Counts readings; each takes a turn of the loop, or waits for `gate`."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.readings = 0
        self.edition = 1
        self.fails = False
        self.gate: asyncio.Event | None = None

    async def __call__(self, keys: list[str]) -> dict[str, str | Exception]:
        self.read += sorted(keys)
        self.readings += 1
        found: dict[str, str | Exception] = {key: f"{key} {self.edition}" for key in keys if key != "nothing"}
        await (self.gate.wait() if self.gate else asyncio.sleep(0))
        if self.fails:
            raise LookupError(*keys)
        return found | {key: ValueError(key) for key in keys if key == "odd"}


@on_a_loop
async def test_a_value_is_read_once_and_again_when_its_time_is_over() -> None:
    library = Library()
    shelf = Remembered(library, seconds=60)
    assert [await shelf.get("a") for _ in range(3)] == ["a 1"] * 3
    assert library.read == ["a"]
    shelf.forget("a")
    library.edition = 2
    assert await shelf.get("a") == "a 2"
    at_once = Remembered(library, seconds=0)
    await at_once.get("b"), await at_once.get("b")
    assert library.read == ["a", "a", "b", "b"]


@on_a_loop
async def test_all_who_come_at_once_wait_for_one_reading() -> None:
    library = Library()
    shelf = Remembered(library, seconds=60)
    assert await asyncio.gather(*(shelf.get("a") for _ in range(100))) == ["a 1"] * 100
    assert library.read == ["a"]


@on_a_loop
async def test_what_is_asked_for_while_one_reading_is_on_its_way_goes_with_the_next() -> None:
    library = Library()
    library.gate = asyncio.Event()
    shelf = Remembered(library, seconds=60)
    first = asyncio.create_task(shelf.get("a"))
    await asyncio.sleep(0.01)
    library.edition = 2
    later = [asyncio.create_task(shelf.get(key)) for key in "abcdef"]
    await asyncio.sleep(0.01)
    library.gate.set()
    assert await first == "a 1"
    assert await asyncio.gather(*later) == [f"{key} 2" for key in "abcdef"]  # what was written meanwhile is seen
    assert library.readings == 2


@on_a_loop
async def test_what_there_is_not_is_not_remembered_and_what_is_wrong_hits_only_who_asked_for_it() -> None:
    library = Library()
    shelf = Remembered(library, seconds=60)
    assert await shelf.get_many(["a", "nothing"]) == {"a": "a 1"}
    told = await asyncio.gather(*(shelf.get(key) for key in ("b", "odd", "nothing")), return_exceptions=True)
    assert [repr(one) for one in told] == ["'b 1'", "ValueError('odd')", "KeyError('nothing')"]
    assert await shelf.get_many(["a", "b"]) == {"a": "a 1", "b": "b 1"}
    assert library.read == ["a", "nothing", "b", "nothing", "odd"]


@on_a_loop
async def test_one_who_goes_away_leaves_the_others_waiting() -> None:
    library = Library()
    library.gate = asyncio.Event()
    shelf = Remembered(library, seconds=60)
    impatient, patient = (asyncio.create_task(shelf.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    library.gate.set()
    assert await patient == "a 1" and library.read == ["a"]


@on_a_loop
async def test_what_cannot_be_read_is_raised_to_all_and_not_remembered() -> None:
    library = Library()
    library.fails = True
    shelf = Remembered(library, seconds=60)
    told = await asyncio.gather(*(shelf.get("a") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in told] == [LookupError] * 3 and library.read == ["a"]
    library.fails = False
    assert await shelf.get("a") == "a 1"


@on_a_loop
async def test_a_reading_that_began_earlier_does_not_replace_a_later_one() -> None:
    library = Library()
    library.gate = asyncio.Event()
    shelf = Remembered(library, seconds=60)
    slow = asyncio.create_task(shelf.get("a"))
    await asyncio.sleep(0.01)
    shelf.keep("a", "a 2")
    library.gate.set()
    assert await slow == "a 1"
    assert await shelf.get("a") == "a 2"


@on_a_loop
async def test_it_does_not_grow_without_end() -> None:
    library = Library()
    shelf = Remembered(library, seconds=60, most=10)
    for number in range(100):
        await shelf.get(str(number))
    assert len(shelf._known) <= 10


@on_a_loop
async def test_reading_afresh_is_remembered() -> None:
    library = Library()
    shelf = Remembered(library, seconds=60)
    await shelf.get("a")
    library.edition = 2
    assert (await shelf.afresh(["a"]), await shelf.get("a")) == ({"a": "a 2"}, "a 2")
    assert (await shelf.afresh([]), await shelf.get_many([])) == ({}, {})
