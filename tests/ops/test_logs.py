"""Log lines: what each is about, and nothing that should not be there."""

import asyncio
import json
import logging
import sys
from typing import Any

import pytest
from django.conf import settings
from structlog.contextvars import bound_contextvars, clear_contextvars

from gateway.lanes.engine import Turn
from gateway.lanes.store import Settlement, Started
from gateway.ops.logs import RequestIds, formatter, without_secrets
from gateway.wiring import with_log_context

KEY = "rvp_live_a1b2c3d4_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6"
CMC = "A1B2C3D4E5F6G7H8"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.payload.signature-0123456789"

PLANTED = [
    (f"key {KEY} was refused", KEY),
    (f"Authorization: Token {KEY}", KEY),
    (f'{{"cmcKey": "{CMC}"}}', CMC),
    (f'{{"data": "{{\\"cmcKey\\":\\"{CMC}\\"}}"}}', CMC),
    (f"{{'cmcKey': '{CMC}', 'tin': 'P051234567X'}}", CMC),
    (f"headers=[(b'cmckey', b'{CMC}')]", CMC),
    (f"cmcKey={CMC}&tin=P051234567X", CMC),
    (f"{{'Authorization': 'Bearer {TOKEN}'}}", TOKEN),
    (f"sent Bearer {TOKEN} and got 401", TOKEN),
    ('{"access_token": "t0k3n", "expires_in": 3600}', "t0k3n"),
    ("password=hunter22 rejected", "hunter22"),
    ("postgresql://gateway:s3cr3tpw@db:5432/gateway is away", "s3cr3tpw"),
    ("redis://:onlypw99@redis:6379/0 is away", "onlypw99"),
    (f"the SECRET_KEY is {settings.SECRET_KEY}", settings.SECRET_KEY),
]


@pytest.fixture(autouse=True)
def nothing_bound() -> None:
    clear_contextvars()


def line_of(message: str, *args: Any, exc_info: Any = None, as_json: bool = True) -> str:
    record = logging.LogRecord("gateway.room", logging.WARNING, __file__, 1, message, args, exc_info)
    return formatter(as_json=as_json).format(record)


@pytest.mark.parametrize(("text", "secret"), PLANTED)
@pytest.mark.parametrize("as_json", [True, False])
def test_a_planted_secret_is_on_no_line(text: str, secret: str, as_json: bool) -> None:
    assert secret not in line_of(text, as_json=as_json)
    assert secret not in line_of("it said %s", text, as_json=as_json)
    try:
        raise ValueError(text)
    except ValueError:
        traced = line_of("it failed", exc_info=sys.exc_info(), as_json=as_json)
    assert "ValueError" in traced and secret not in traced
    with bound_contextvars(note=text):
        assert secret not in line_of("bound", as_json=as_json)


def test_what_is_no_secret_stays_readable() -> None:
    for text in (
        "The key of device SERIAL-1 cannot be opened.",
        "Token bucket is empty; the cmcKey is missing",
        "http://127.0.0.1:8000/receipts/",
        "rvp:5f2a is the tag of an invoice",
    ):
        assert without_secrets(text) == text


def test_a_line_is_one_json_object_with_time_level_and_logger() -> None:
    line = line_of("one\ntwo %d", 3)
    assert "\n" not in line
    read = json.loads(line)
    assert (read["event"], read["level"], read["logger"]) == ("one\ntwo 3", "warning", "gateway.room")
    assert read["at"].endswith("Z")


def test_with_debug_a_line_is_for_people() -> None:
    assert "warning" in (line := line_of("hello", as_json=False)) and not line.startswith("{")


def test_every_line_of_a_request_carries_its_id_and_the_application_sees_the_same_one() -> None:
    lines: list[dict[str, Any]] = []
    seen: list[bytes] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(value for name, value in scope["headers"] if name == b"x-request-id")
        await asyncio.sleep(0)
        lines.append(json.loads(line_of("working")))

    async def ask(*headers: tuple[bytes, bytes]) -> None:
        await RequestIds(application)({"type": "http", "headers": list(headers)}, None, None)  # type: ignore[arg-type]

    async def both() -> None:
        await asyncio.gather(ask((b"x-request-id", b"till-7.42")), ask((b"x-request-id", b"no good\n")), ask())

    asyncio.run(both())
    assert lines[0]["request_id"] == "till-7.42"
    assert [line["request_id"].encode() for line in lines] == seen
    assert all(len(line["request_id"]) == 32 for line in lines[1:]) and len(set(seen)) == 3
    assert "request_id" not in json.loads(line_of("after"))


def test_every_line_of_a_turn_names_its_lane_and_its_invoice() -> None:
    public_id = "0b2f4c1e-7a53-4d0e-9a7e-5a3c1f0d9b21"
    lines: list[dict[str, Any]] = []

    async def handler(turn: Turn) -> Settlement:
        lines.append(json.loads(line_of("with KRA")))
        return Settlement(state="closed")

    async def turn() -> None:
        document = {"public_id": public_id.replace("-", "")}
        started = Started(1, 42, "invoice", 7, 3, 1, 0, False, document)
        await asyncio.create_task(with_log_context(handler)(Turn(started, None)))  # type: ignore[arg-type]
        lines.append(json.loads(line_of("after the turn")))

    asyncio.run(turn())
    assert (lines[0]["lane"], lines[0]["invoice"]) == (42, public_id)
    assert "lane" not in lines[1]
