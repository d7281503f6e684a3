"""GavaConnect: token, path families, wrapped envelope, over real sockets."""

import asyncio
import base64
import json
import traceback
from contextlib import asynccontextmanager

import pytest

from gateway.kra.client import Client
from gateway.kra.documents import AppCredentials
from gateway.kra.errors import DeviceTrouble, Drift, KraError, NoAnswer, NotSent, Refused
from gateway.kra.profiles import Flavour, simulator
from gateway.kra.sessions import open_session
from gateway.kra.tokens import Tokens
from tests.kra.samples import SHOP, SIGNED, make_sale
from tests.kra.servers import Answer, fault, free_port, refused, serving, wrapped

APP = AppCredentials("PLANTED-consumer-key", "PLANTED-consumer-secret", "app-1")
EXPIRED = "keymanagement.service.access_token_expired"


class Gateway:
    """KRA's API gateway: gives tokens, and answers calls that carry the newest one."""

    def __init__(self, answer=None, *, expires_in: object = "3599", stale_status=500):
        self.answer = answer or wrapped(data=SIGNED)
        self.expires_in = expires_in
        self.stale_status = stale_status
        self.token_answer: Answer | None = None
        self.given = 0
        self.valid = ""

    def __call__(self, request):
        if request.method == "GET":
            if self.token_answer:
                return self.token_answer
            self.given += 1
            self.valid = f"PLANTED-token-{self.given}"
            return Answer(body=json.dumps({"access_token": self.valid, "expires_in": self.expires_in}).encode())
        if request.headers["authorization"] != f"Bearer {self.valid}":
            return fault("Access Token expired", EXPIRED, self.stale_status)
        return self.answer


@asynccontextmanager
async def connected(gateway, **overrides):
    async with serving(gateway) as server, open_session() as session:
        yield Client(simulator(Flavour.GAVACONNECT, server.origin, **overrides), session=session, app=APP), server


async def sell(client, number=15):
    body = client.with_number(client.sale_body(make_sale(), SHOP), number)
    return await client.save_sale(SHOP, body, number)


def test_a_sale_is_signed_through_the_gateway():
    async def run():
        async with connected(Gateway()) as (client, server):
            signature, exchange = await sell(client)
            token, call = server.requests
            assert token.target == "/gavaconnect/v1/token/generate?grant_type=client_credentials"
            basic = base64.b64encode(b"PLANTED-consumer-key:PLANTED-consumer-secret").decode()
            assert token.headers["authorization"] == f"Basic {basic}"
            assert call.target == "/gavaconnect/etims-oscu/api/v1/saveTrnsSalesOsdc"
            assert call.headers["authorization"] == "Bearer PLANTED-token-1"
            assert (call.headers["apigee_app_id"], call.headers["cmckey"]) == ("app-1", SHOP.key)
            assert (call.headers["tin"], call.headers["bhfid"]) == (SHOP.pin, SHOP.branch)
            assert signature.receipt_number == 15 and exchange.outcome == "done"

    asyncio.run(run())


def test_the_integrator_family_has_other_paths():
    async def run():
        async with connected(Gateway(), paths="gava_integrator") as (client, server):
            await sell(client)
            assert server.requests[-1].target == "/gavaconnect/etims-oscu/api/v1/sendSalesTransaction"

    asyncio.run(run())


def test_one_token_serves_many_calls_at_once():
    async def run():
        gateway = Gateway()
        async with connected(gateway) as (client, _):
            await asyncio.gather(*(sell(client, number) for number in range(1, 21)))
            assert gateway.given == 1

    asyncio.run(run())


@pytest.mark.parametrize("stale_status", [401, 500])
def test_a_refused_token_is_renewed_once_and_the_message_sent_again(stale_status):
    async def run():
        gateway = Gateway(stale_status=stale_status)
        async with connected(gateway) as (client, server):
            await sell(client, 1)
            gateway.valid = "revoked"
            signature, _ = await sell(client, 2)
            assert signature.receipt_number == 15 and gateway.given == 2
            sent = [request for request in server.requests if request.method == "POST"]
            assert len(sent) == 3 and sent[1].body == sent[2].body

    asyncio.run(run())


def test_many_calls_with_one_stale_token_renew_it_once():
    async def run():
        gateway = Gateway()
        async with connected(gateway) as (client, _):
            await sell(client, 1)
            gateway.valid = "revoked"
            await asyncio.gather(*(sell(client, number) for number in range(2, 12)))
            assert gateway.given == 2

    asyncio.run(run())


def test_a_token_that_is_refused_again_and_again_is_trouble_and_not_a_loop():
    async def run():
        gateway = Gateway(fault("Access Token expired", EXPIRED, 401))
        async with connected(gateway) as (client, server):
            with pytest.raises(DeviceTrouble) as raised:
                await sell(client)
            assert raised.value.code == "token_fault" and gateway.given == 2
            assert sum(request.method == "POST" for request in server.requests) == 2

    asyncio.run(run())


def test_a_token_is_renewed_at_four_fifths_of_its_life():
    async def run():
        now = 100.0
        gateway = Gateway(expires_in=1000)
        async with serving(gateway) as server, open_session() as session:
            tokens = Tokens(simulator(Flavour.GAVACONNECT, server.origin), APP, session, clock=lambda: now)
            first = await tokens.current()
            now = 899.9
            assert await tokens.current() == first
            now = 900.0
            assert await tokens.current() != first
            tokens.drop(first)  # an old refusal must not throw away the new one
            assert await tokens.current() == "PLANTED-token-2"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (Answer(400), DeviceTrouble, "app_refused"),
        (Answer(401), DeviceTrouble, "app_refused"),
        (Answer(503, b"<html>"), NotSent, "token_unavailable"),
        (Answer(200, b"<html>"), NotSent, "token_unavailable"),
        (Answer(200, b"{}"), NotSent, "token_unavailable"),
        (Answer(close=True), NotSent, "token_unavailable"),
    ],
)
def test_without_a_token_nothing_is_sent(answer, kind, code):
    async def run():
        gateway = Gateway()
        gateway.token_answer = answer
        async with connected(gateway) as (client, server):
            with pytest.raises(kind) as raised:
                await sell(client)
            assert raised.value.code == code and raised.value.exchange.http_status is None
            assert all(request.method == "GET" for request in server.requests)

    asyncio.run(run())


def test_a_gateway_nobody_listens_at_is_not_sent():
    async def run():
        async with open_session() as session:
            known = simulator(Flavour.GAVACONNECT, f"http://127.0.0.1:{free_port()}")
            with pytest.raises(NotSent):
                await sell(Client(known, session=session, app=APP))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused("Invalid invcNo sequence, expected: 16 but found: 15"), Drift),
        (refused("Invalid invcNo sequence, expected: 16 but found: 15", status=200), Drift),
        (refused("Missing RfdDt Date"), Refused),
        (wrapped("994", status=400), KraError),
        (fault("Gateway Timeout", "x", 504), NoAnswer),
        (wrapped("000", None), NoAnswer),
    ],
)
def test_what_the_gateway_says_becomes_the_same_errors(answer, kind):
    async def run():
        async with connected(Gateway(answer)) as (client, _):
            with pytest.raises(kind) as raised:
                await sell(client)
            return raised.value

    error = asyncio.run(run())
    if isinstance(error, Drift):
        assert error.expected == 16


def test_tokens_and_secrets_are_nowhere_to_be_seen():
    async def run():
        seen = []
        echo = "PLANTED-token-1 PLANTED-consumer-key PLANTED-consumer-secret " + SHOP.key
        signed = wrapped(data={**SIGNED, "x": echo})
        for answer in (signed, refused(echo), Answer(502, echo.encode()), Answer(close=True)):
            async with connected(Gateway(answer)) as (client, _):
                seen += [repr(client), repr(vars(client)), repr(APP), str(APP)]
                try:
                    seen.append(repr(await sell(client)))
                except KraError as error:
                    seen += [repr(error), str(error), repr(vars(error)), *traceback.format_exception(error)]
        gateway = Gateway()
        for answer in (Answer(400, echo.encode()), Answer(200, echo.encode()), Answer(close=True)):
            gateway.token_answer = answer
            async with connected(gateway) as (client, _):
                with pytest.raises(KraError) as raised:
                    await sell(client)
                seen += [repr(vars(raised.value)), *traceback.format_exception(raised.value)]
        return seen

    for text in asyncio.run(run()):
        assert "PLANTED" not in text, text


def test_gavaconnect_needs_an_app():
    with pytest.raises(ValueError):
        Client(simulator(Flavour.GAVACONNECT, "http://127.0.0.1:9"), session=None)  # type: ignore[arg-type]
