"""The native routes: what becomes of a request that cannot be answered."""

import asyncio
from typing import Any

import msgspec
import pytest
from django.db import InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Scope

from gateway.api import hot
from gateway.api.problems import Problem

POST: Scope = {"type": "http", "method": "POST", "path": "/api/sales/", "query_string": b"", "headers": []}


def answered(error: Exception) -> Response:
    """What a route answers whose work fails so."""

    async def work(request: Request) -> Response:
        raise error

    async def ask() -> Response:
        till: Any = None
        return await hot.Hot(till).route(work)(Request(POST))

    return asyncio.run(ask())


def code_of(response: Response) -> str:
    code: str = msgspec.json.decode(response.body)["code"]
    return code


@pytest.mark.parametrize("error", [OperationalError("the server closed the connection"), InterfaceError("closed")])
def test_a_database_that_is_away_is_told_as_not_kept_whoever_asked_it(error: Exception) -> None:
    response = answered(error)
    assert (response.status_code, code_of(response)) == (503, "not_kept")
    assert response.headers["Retry-After"]


def test_a_mistake_of_ours_is_unexpected_and_says_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    response = answered(ZeroDivisionError("the secret is 7"))
    assert (response.status_code, code_of(response)) == (500, "unexpected")
    assert b"secret" not in response.body
    assert "ZeroDivisionError" in caplog.text


def test_a_caller_that_went_away_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    answered(ClientDisconnect())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> Message:
        if came:
            await asyncio.sleep(60)
        came.append(True)
        return {"type": "http.request", "body": b"{", "more_body": True}

    came: list[bool] = []
    monkeypatch.setattr(hot, "MOST_SECONDS", 0.05)
    with pytest.raises(Problem) as caught:
        asyncio.run(hot._body(Request(POST, receive)))
    assert (caught.value.code, caught.value.status) == ("too_slow", 408)
    assert caught.value.headers == {"Connection": "close"}


def test_a_wrong_method_names_the_right_one_and_the_request() -> None:
    response = asyncio.run(hot.wrong_method(Request(POST), HTTPException(405, headers={"Allow": "GET"})))
    assert (response.status_code, response.headers["Allow"]) == (405, "GET")
    assert response.headers["X-Request-Id"] == msgspec.json.decode(response.body)["request_id"]
