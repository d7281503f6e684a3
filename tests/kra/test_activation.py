import asyncio
import json

import pytest

from gateway.kra.activation import read_activation
from gateway.kra.client import Client
from gateway.kra.documents import AppCredentials
from gateway.kra.errors import DeviceTrouble, KraError, NoAnswer, NotSent
from gateway.kra.profiles import Flavour, simulator
from gateway.kra.sessions import open_session
from tests.kra.servers import Answer, answered, free_port, serving, wrapped
from tests.kra.spec import SPEC

DIRECT, GAVA, VSCU = Flavour
INFO = SPEC["device_init"]["examples"]["response"]["oscu"]["data"]["info"]
PLANTED = {**INFO, "cmcKey": "PLANTED-key"}


def activate(answer, flavour=DIRECT):
    async def run():
        async with serving(lambda request: answer) as server, open_session() as session:
            client = Client(simulator(flavour, server.origin), session=session)
            raw = await client.initialize_device("P051234567X", "00", "GATEWAY-TEST-0001")
            return raw, server.requests

    return asyncio.run(run())


def test_the_answer_is_handed_over_unread_and_then_understood():
    answer = answered(data={"info": PLANTED})
    raw, (request,) = activate(answer)
    assert raw.body == answer.body and raw.http_status == 200 and raw.content_type == "application/json"
    assert request.target == "/oscu/etims-api/selectInitOsdcInfo"
    assert request.json == {"tin": "P051234567X", "bhfId": "00", "dvcSrlNo": "GATEWAY-TEST-0001"}
    assert not {"tin", "bhfid", "cmckey"} & set(request.headers)
    activation = read_activation(raw, DIRECT)
    assert (activation.key, activation.control_unit_id) == ("PLANTED-key", "KRACU0400001234")
    assert (activation.machine_code, activation.device_id) == ("KRA00001234", "0000000000001234")
    assert activation.is_head_office and activation.last_numbers == {}
    assert raw.exchange.outcome == "unread" and raw.exchange.operation == "device_init"


def test_the_key_shows_nowhere():
    raw, _ = activate(answered(data={"info": {**PLANTED, "intrlKey": "PLANTED-2", "signKey": "PLANTED-3"}}))
    activation = read_activation(raw, DIRECT)
    for thing in (raw, raw.exchange, activation):
        assert "PLANTED" not in repr(thing) and "manager@" not in repr(thing)


def test_the_counters_of_a_vscu_are_kept_where_it_names_them():
    info = SPEC["device_init"]["examples"]["response"]["vscu"]["data"]["info"]
    raw, (request,) = activate(answered(data={"info": {**info, "lastSaleInvcNo": "41"}}), VSCU)
    assert request.target == "/vscu/initializer/selectInitInfo"
    activation = read_activation(raw, VSCU)
    assert (activation.key, activation.control_unit_id) == ("", "")
    assert activation.last_numbers == {"sale_invoice": 41, "purchase_invoice": 0}


def raw_of(body, status=200):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    raw, _ = activate(Answer(status, content))
    return raw


@pytest.mark.parametrize(
    "body",
    [
        json.loads(wrapped(data={"info": PLANTED}).body),
        {"responseHeader": {"responseCode": 200}, "responseBody": {"cmcKey": "PLANTED-key", "deviceId": "7"}},
        {
            "responseHeader": {"responseCode": 200},
            "responseBody": {"resultCd": "000", "resultMsg": "", "data": None, "cmcKey": "PLANTED-key"},
        },
        {
            "responseHeader": {"responseCode": 200},
            "responseBody": {"resultCd": "000", "data": {"info": {**INFO, "cmcKey": None}}, "cmcKey": "PLANTED-key"},
        },
    ],
)
def test_gavaconnect_may_put_the_key_in_two_places(body):
    assert read_activation(raw_of(body), GAVA).key == "PLANTED-key"


@pytest.mark.parametrize("code", ["901", "902", "903", "905"])
def test_a_refused_activation_is_trouble_with_the_device(code):
    with pytest.raises(DeviceTrouble) as raised:
        read_activation(raw_of(json.loads(answered(code).body)), DIRECT)
    assert raised.value.code == code


def test_a_success_without_a_key_is_trouble_for_an_oscu():
    with pytest.raises(DeviceTrouble) as raised:
        read_activation(raw_of(json.loads(answered(data={"info": {**INFO, "cmcKey": ""}}).body)), DIRECT)
    assert raised.value.code == "key_missing"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"resultCd":"000","data":{"info":{"cmcKey":"PLAN'])
def test_an_answer_that_cannot_be_read_may_still_hold_the_key(body):
    with pytest.raises(NoAnswer):
        read_activation(raw_of(body), DIRECT)


def test_a_lost_answer_and_a_message_that_never_left_are_told_apart():
    for answer, port, kind in ((Answer(close=True), None, NoAnswer), (None, free_port(), NotSent)):

        async def run(answer=answer, port=port, kind=kind):
            async with serving(lambda request: answer) as server, open_session() as session:
                origin = f"http://127.0.0.1:{port}" if port else server.origin
                client = Client(simulator(DIRECT, origin), session=session)
                with pytest.raises(kind) as raised:
                    await client.initialize_device("P051234567X", "00", "S")
                assert raised.value.exchange.operation == "device_init"
                assert len(server.requests) == (0 if port else 1)

        asyncio.run(run())


def test_a_stale_token_never_repeats_an_activation():
    async def run():
        def reply(request):
            if request.method == "GET":
                return Answer(body=b'{"access_token": "t", "expires_in": 3600}')
            return Answer(401)

        async with serving(reply) as server, open_session() as session:
            app = AppCredentials("k", "s", "a")
            client = Client(simulator(GAVA, server.origin), session=session, app=app)
            raw = await client.initialize_device("P051234567X", "00", "S")
            with pytest.raises(KraError):
                read_activation(raw, GAVA)
            assert sum(request.method == "POST" for request in server.requests) == 1

    asyncio.run(run())
