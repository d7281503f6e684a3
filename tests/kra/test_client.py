import asyncio
import json
import socket
import traceback
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from gateway.kra.client import Client
from gateway.kra.documents import Credentials
from gateway.kra.errors import (
    Busy,
    DeviceTrouble,
    Drift,
    Duplicate,
    KraError,
    NoAnswer,
    NotOffered,
    NotSent,
    Refused,
)
from gateway.kra.profiles import Flavour, simulator
from gateway.kra.sessions import open_session
from tests.kra.samples import ISSUED, KEY, SHOP, SIGNED, make_item, make_sale
from tests.kra.servers import Answer, answered, free_port, serving

FOUND = {
    "invcNo": 15,
    "orgInvcNo": 0,
    "custTin": None,
    "custNm": "Walk-in customer",
    "rcptTyCd": "S",
    "cfmDt": "2026-03-01 10:15:00",
    "totItemCnt": 1,
    "totTaxAmt": 320,
    "totAmt": 2320.0,
    "remark": "rv:0123456789abcdef",
    "receipt": {**SIGNED, "sdcDateTime": "2026-03-01 10:15:31.0"},
    "itemList": [{"itemCd": "KE2NTTU0000001", "qty": 2, "prc": 1160.0, "totAmt": 2320.0}],
}


@asynccontextmanager
async def connected(reply, flavour=Flavour.OSCU_DIRECT, **overrides):
    """A client, and the server it speaks to."""
    async with serving(reply) as server, open_session() as session:
        yield Client(simulator(flavour, server.origin, **overrides), session=session), server


async def sell(client, number=15, **changes):
    body = client.with_number(client.sale_body(make_sale(**changes), SHOP), number)
    return await client.save_sale(SHOP, body, number)


def ending(reply, action=sell, **overrides):
    """How a call ends against a server that answers like this."""

    async def run():
        async with connected(reply, **overrides) as (client, _):
            with pytest.raises(KraError) as raised:
                await action(client)
            return raised.value

    found: Any = asyncio.run(run())
    return found


def test_a_sale_comes_back_signed():
    async def run():
        async with connected(lambda request: answered(data=SIGNED)) as (client, server):
            body = client.with_number(client.sale_body(make_sale(), SHOP), 15)
            signature, exchange = await client.save_sale(SHOP, body, 15)
            (request,) = server.requests
            assert (request.method, request.target) == ("POST", "/oscu/etims-api/saveTrnsSalesOsdc")
            assert request.body == body and request.json["invcNo"] == 15
            assert (request.headers["tin"], request.headers["bhfid"], request.headers["cmckey"]) == (
                SHOP.pin,
                SHOP.branch,
                KEY,
            )
            assert (request.json["tin"], request.json["bhfId"]) == (SHOP.pin, SHOP.branch)
            assert request.headers["content-type"] == "application/json"
            assert (signature.receipt_number, signature.signature) == (15, "ABCDEFGH23456723")
            assert (exchange.operation, exchange.number, exchange.http_status) == ("sales_save", 15, 200)
            assert (exchange.outcome, exchange.code) == ("done", "000")
            assert exchange.request_sha256 == sha256(body).hexdigest()
            assert exchange.started_at.tzinfo is UTC and exchange.duration_ms >= 0

    asyncio.run(run())


def test_connections_are_kept():
    async def run():
        async with connected(lambda request: answered(data=SIGNED)) as (client, server):
            for number in range(1, 6):
                await sell(client, number)
            assert (len(server.requests), server.connections) == (5, 1)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answered("994"), Duplicate),
        (answered("910"), Refused),
        (answered("901"), DeviceTrouble),
        (answered("999"), NoAnswer),
        (answered("910", message="Invalid invcNo sequence, expected: 16 but found: 15"), Drift),
        (Answer(429, headers={"Retry-After": "9"}), Busy),
        (Answer(502, b"<html>"), NoAnswer),
        (answered("000", None), NoAnswer),
        (answered("000", {**SIGNED, "rcptSign": ""}), NoAnswer),
        (Answer(307, headers={"Location": "/oscu/etims-api/elsewhere"}), NoAnswer),
    ],
)
def test_every_error_carries_what_was_sent_and_answered(answer, kind):
    error = ending(lambda request: answer)
    assert type(error) is kind
    assert error.exchange.http_status == answer.status and error.exchange.number == 15
    assert (
        error.exchange.outcome
        == {
            Duplicate: "duplicate",
            Refused: "refused",
            DeviceTrouble: "device_trouble",
            NoAnswer: "no_answer",
            Drift: "drift",
            Busy: "busy",
        }[kind]
    )
    assert error.exchange.code == error.code


def test_nothing_is_ever_sent_twice_or_to_another_address():
    async def run():
        for answer in (
            Answer(close=True),
            Answer(reset=True),
            Answer(307, headers={"Location": "/x"}),
            answered("999"),
        ):
            async with connected(lambda request, answer=answer: answer) as (client, server):
                with pytest.raises(NoAnswer):
                    await sell(client)
                assert len(server.requests) == 1

    asyncio.run(run())


def test_a_kept_connection_that_the_server_closed_is_never_used_for_a_second_try():
    async def run():
        answers = iter([answered(data=SIGNED), Answer(close=True), answered(data=SIGNED)])
        async with connected(lambda request: next(answers)) as (client, server):
            await sell(client, 1)
            with pytest.raises(NoAnswer):
                await sell(client, 2)
            assert len(server.requests) == 2

    asyncio.run(run())


def test_a_refused_connection_is_not_sent():
    async def run():
        async with open_session() as session:
            client = Client(simulator(Flavour.OSCU_DIRECT, f"http://127.0.0.1:{free_port()}"), session=session)
            with pytest.raises(NotSent) as raised:
                await sell(client)
            exchange = raised.value.exchange
            assert exchange and (exchange.outcome, exchange.http_status) == ("not_sent", None)

    asyncio.run(run())


def test_a_host_that_does_not_exist_is_not_sent():
    async def run():
        async with open_session() as session:
            client = Client(simulator(Flavour.OSCU_DIRECT, "http://no-such-host.invalid"), session=session)
            with pytest.raises(NotSent):
                await sell(client)

    asyncio.run(run())


def test_a_failed_handshake_is_not_sent():
    async def run():
        async with serving(lambda request: answered()) as server, open_session() as session:
            origin = server.origin.replace("http", "https")
            client = Client(simulator(Flavour.OSCU_DIRECT, origin, connect_seconds=1), session=session)
            with pytest.raises(NotSent):
                await sell(client)
            assert not server.requests

    asyncio.run(run())


def test_a_connection_that_is_never_taken_is_not_sent():
    async def run():
        # A listener that accepts nothing: once its backlog is full, connecting hangs.
        loop = asyncio.get_running_loop()

        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            fillers = []
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                fillers.append(filler)
                filler.connect_ex(listener.getsockname())
            async with open_session() as session:
                origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
                client = Client(simulator(Flavour.OSCU_DIRECT, origin, connect_seconds=1), session=session)
                began = loop.time()
                with pytest.raises(NotSent) as raised:
                    await sell(client)
                assert loop.time() - began < 5 and "Timeout" in raised.value.message
            for filler in fillers:
                filler.close()

    asyncio.run(run())


def test_an_answer_that_does_not_come_in_time_may_be_recorded():
    error = ending(lambda request: Answer(hang=True), write_seconds=1)
    assert type(error) is NoAnswer
    assert error.exchange and error.exchange.http_status is None


def test_a_look_up_that_gets_no_answer_is_busy_for_it_changes_nothing():
    for answer in (Answer(hang=True), Answer(reset=True)):
        error = ending(lambda request, answer=answer: answer, find, lookup_seconds=1)
        assert type(error) is Busy and error.code == "no_answer"


@pytest.mark.parametrize("answer", [Answer(reset=True), Answer(close=True), Answer(200, b'{"resultCd"', cut=50)])
def test_a_connection_that_breaks_after_the_request_may_have_recorded_it(answer):
    assert type(ending(lambda request: answer)) is NoAnswer


async def find(client, number=15):
    return await client.find_invoice(SHOP, number)


def test_an_invoice_is_found_with_its_receipt():
    async def run():
        async with connected(lambda request: answered(data={"salesList": [FOUND]})) as (client, server):
            found, exchange = await find(client)
            assert found.number == 15 and found.tag == "rv:0123456789abcdef" and found.confirmed_at == ISSUED
            assert found.signature.signed_at == datetime(2026, 3, 1, 7, 15, 31, tzinfo=UTC)
            assert (server.requests[0].target, server.requests[0].json["invcNo"]) == (
                "/oscu/etims-api/selectInvoiceDetails",
                15,
            )
            assert (exchange.operation, exchange.outcome) == ("invoice_details", "done")

    asyncio.run(run())


def test_an_invoice_that_kra_does_not_have_is_none_only_when_it_says_so():
    async def run():
        async with connected(lambda request: answered("001")) as (client, _):
            found, exchange = await find(client)
            assert found is None and exchange.outcome == "empty"

    asyncio.run(run())
    lists: list[Any] = [None, [], [{**FOUND, "invcNo": 14}], [{"invcNo": 15}]]
    answers: list[Any] = [None, {}, *({"salesList": entries} for entries in lists)]
    for data in answers:
        error = ending(lambda request, data=data: answered(data=data), find)
        assert type(error) is Busy and error.code == "unreadable"


def test_a_look_up_that_fails_is_busy_and_proves_nothing():
    for answer in (answered("777"), Answer(502, b"<html>"), Answer(200, b""), answered("990"), answered("999")):
        assert type(ending(lambda request, answer=answer: answer, find)) is Busy


def test_vscu_has_no_look_up_and_nothing_is_sent():
    error = ending(lambda request: answered(), find, flavour=Flavour.VSCU)
    assert type(error) is NotOffered and error.exchange is None


def test_the_key_is_nowhere_but_in_its_header():
    echo = f"key {KEY} and {KEY.replace('/', chr(92) + '/')} refused"

    async def run():
        seen = []
        answers = [
            answered("000", {**SIGNED, "echo": KEY}),
            answered("910", message=echo),
            answered("901", {"cmcKey": KEY}, message=KEY),
            Answer(502, f"<html>{KEY}</html>".encode()),
            answered("777", message=KEY),
            answered("000", None, message=KEY),
            Answer(close=True),
            Answer(200, b'{"cmcKey":"' + KEY.encode(), cut=10),
        ]
        for answer in answers:
            async with connected(lambda request, answer=answer: answer) as (client, server):
                seen += [repr(client), repr(client.__dict__), repr(SHOP), str(SHOP)]
                try:
                    seen.append(repr(await sell(client)))
                except KraError as error:
                    seen += [repr(error), str(error), repr(error.args), repr(error.exchange), repr(error.__dict__)]
                    seen += traceback.format_exception(error)
                    seen.append(repr((error.__cause__, error.__context__ if not error.__suppress_context__ else "")))
                assert server.requests[0].headers["cmckey"] == KEY
                assert KEY not in server.requests[0].body.decode() + server.requests[0].target
        return seen

    seen = asyncio.run(run())
    assert len(seen) > 40
    for text in seen:
        assert "PLANTED" not in text, text


def test_a_key_that_fits_no_header_is_trouble_with_the_device_and_nothing_leaves():
    async def run():
        async with connected(lambda request: answered(data=SIGNED)) as (client, server):
            for key in ("", "line\r\nbreak", "kéy"):
                with pytest.raises(DeviceTrouble) as raised:
                    await client.find_invoice(Credentials("P051234567X", "00", key), 1)
                assert raised.value.code == "892" and "line" not in str(raised.value)
            assert not server.requests

    asyncio.run(run())


def test_people_are_masked_in_an_exchange_and_money_is_not():
    async def run():
        async with connected(lambda request: answered(data=SIGNED)) as (client, server):
            _, exchange = await sell(client, buyer_name='Jane "JJ" Wanjiku', buyer_phone="0712345678")
            assert server.requests[0].json["custNm"] == 'Jane "JJ" Wanjiku'
            kept = json.loads(exchange.request_masked, parse_float=Decimal)
            assert kept["custNm"] == kept["receipt"]["custMblNo"] == "***"
            assert kept["totAmt"] == Decimal("2320.00")
            assert exchange.answer_masked.count("ABCDEFGH23456723") == 1

    asyncio.run(run())


def test_an_item_is_registered_under_the_code_of_its_serial():
    async def run():
        async with connected(lambda request: answered()) as (client, server):
            item = make_item()
            body = client.item_with_number(client.item_body(item, SHOP), 12)
            exchange = await client.save_item(SHOP, body)
            assert exchange.outcome == "done"
            assert server.requests[0].target == "/oscu/etims-api/saveItem"
            assert server.requests[0].json["itemCd"] == client.item_code(item, 12) == "KE2NTTU0000012"

    asyncio.run(run())


def test_lists_come_with_kras_clock_and_an_empty_list_is_no_error():
    item = {"itemCd": "KE2NTTU0000001 ", "itemNm": "Sugar", "dftPrc": "0", "useYn": "Y", "KRAModYn": "Y"}
    row = {"cd": "B ", "cdNm": "B-16.00%", "srtOrd": "2", "useYn": "Y", "userDfnCd1": "16"}
    replies = {
        "selectItemList": {"itemList": [item]},
        "selectCodeList": {"clsList": [{"cdCls": "04", "cdClsNm": "Tax", "useYn": "Y", "dtlList": [row]}]},
        "selectItemClsList": {"itemClsList": [{"itemClsCd": "5016150900", "itemClsNm": "Sugar", "itemClsLvl": 5}]},
    }

    async def run():
        async with connected(lambda request: answered(data=replies[request.target.rpartition("/")[2]])) as (
            client,
            server,
        ):
            items, server_time, _ = await client.list_items(SHOP)
            assert (items[0].code, str(items[0].default_price)) == ("KE2NTTU0000001", "0.00")
            assert items[0].modified_by_authority and items[0].in_use
            assert server_time == datetime(2026, 3, 1, 7, 15, 30, tzinfo=UTC)
            assert server.requests[0].json["lastReqDt"] == "20180101000000"
            (tax_classes,), server_time, _ = await client.code_list(SHOP, server_time)
            assert tax_classes.codes[0].code == "B" and tax_classes.codes[0].custom_values[0] == "16"
            assert server.requests[1].json["lastReqDt"] == "20260301101530"
            (node,), _, _ = await client.item_classes(SHOP)
            assert (node.code, node.level, node.tax_class) == ("5016150900", 5, "")
        async with connected(lambda request: answered("001")) as (client, _):
            for look_up in (client.list_items, client.code_list, client.item_classes):
                rows, server_time, exchange = await look_up(SHOP)
                assert rows == [] and server_time is not None and exchange.outcome == "empty"
        async with connected(lambda request: answered(data={})) as (client, _):
            for look_up in (client.list_items, client.code_list, client.item_classes):
                with pytest.raises(Busy):
                    await look_up(SHOP)

    asyncio.run(run())


def test_only_so_many_calls_are_under_way_at_one_host():
    async def run():
        gate = asyncio.Event()
        most = now = 0

        async def reply(request):
            nonlocal most, now
            now += 1
            most = max(most, now)
            await gate.wait()
            now -= 1
            return answered(data=SIGNED)

        async with connected(reply, max_concurrent=3) as (client, server):
            assert client.host() == server.origin.removeprefix("http://")
            calls = [asyncio.create_task(sell(client, number)) for number in range(1, 9)]
            while len(server.requests) < 3:
                await asyncio.sleep(0.001)
            gate.set()
            await asyncio.gather(*calls)
            assert most == 3 and len(server.requests) == 8

    asyncio.run(run())


def test_a_cancelled_call_gives_its_slot_back():
    async def run():
        def reply(request):
            return Answer(hang=True) if len(server.requests) == 1 else answered(data=SIGNED)

        async with connected(reply, max_concurrent=1) as (client, server):
            call = asyncio.create_task(sell(client))
            while not server.requests:
                await asyncio.sleep(0.001)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.wait_for(sell(client), 5)

    asyncio.run(run())


def test_an_answer_past_all_reason_is_broken_off():
    endless = Answer(200, b"x" * 5_000)
    assert type(ending(lambda request: endless, answer_bytes=4_000)) is NoAnswer
    assert ending(lambda request: endless, find, answer_bytes=4_000).code == "no_answer"
    assert ending(lambda request: endless, find, answer_bytes=6_000).code == "unreadable"
