"""VSCU: the taxpayer's own program, one address for each device, no keys on the wire."""

import asyncio

import pytest

from gateway.kra.client import Client
from gateway.kra.documents import Credentials
from gateway.kra.errors import NoAnswer, NotOffered, NotSent, Refused
from gateway.kra.profiles import profile
from gateway.kra.sessions import open_session
from tests.kra.samples import make_sale
from tests.kra.servers import Answer, answered, serving

RECEIPT = {
    "rcptNo": 15,
    "intrlData": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "rcptSign": "ABCDEFGH23456723",
    "totRcptNo": 17,
    "vsdcRcptPbctDate": "20260301101531",
    "sdcId": "KRACU0400001235",
    "mrcNo": "KRA00001235",
}


async def sell(client, credentials, *, report=1, **changes):
    body = client.with_number(client.sale_body(make_sale(**changes), credentials), 15, report=report)
    return await client.save_sale(credentials, body, 15)


def test_each_device_is_reached_at_its_own_address_with_its_identity_in_the_body_only():
    async def run():
        async with (
            serving(lambda request: answered(data=RECEIPT)) as one,
            serving(lambda request: answered(data=RECEIPT)) as other,
            open_session() as session,
        ):
            client = Client(profile("vscu_sandbox"), session=session)
            for server, branch in ((one, "00"), (other, "01")):
                credentials = Credentials("P051234567X", branch, "", "S", server.origin)
                signature, _ = await sell(client, credentials, report=3)
                (request,) = server.requests
                assert request.target == "/trnsSales/saveSales"
                assert not {"tin", "bhfid", "cmckey", "authorization"} & set(request.headers)
                assert (request.json["tin"], request.json["bhfId"]) == ("P051234567X", branch)
                assert request.json["receipt"]["rptNo"] == 3
                assert (signature.control_unit_id, signature.machine_code) == ("KRACU0400001235", "KRA00001235")
                assert signature.receipt_number == 15

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answered("899", message="An error regarding Client occurred"), NoAnswer),
        (answered("894"), NoAnswer),
        (Answer(503), NoAnswer),
        (Answer(400, b'{"error":"Bad Request"}'), Refused),
        (answered("913", message="[<itemList><pkgUnitCd>]"), Refused),
    ],
)
def test_what_the_program_answers_becomes_the_same_errors(answer, kind):
    async def run():
        async with serving(lambda request: answer) as server, open_session() as session:
            client = Client(profile("vscu_sandbox", base_url=server.origin), session=session)
            with pytest.raises(kind):
                await sell(client, Credentials("P051234567X", "00", ""))

    asyncio.run(run())


def test_a_test_device_cannot_be_pointed_at_a_production_host():
    async def run():
        async with open_session() as session:
            client = Client(profile("vscu_sandbox"), session=session)
            for address in ("https://etims-api.kra.go.ke/etims-api", "https://API.kra.go.ke:443/x"):
                with pytest.raises(NotOffered) as raised:
                    await sell(client, Credentials("P051234567X", "00", "", "S", address))
                assert raised.value.code == "forbidden_host"
            for address in ("file:///etc", "http://[", "http://h:99999", "10.0.0.5:8088"):
                with pytest.raises(NotSent) as unsent:
                    await sell(client, Credentials("P051234567X", "00", "", "S", address))
                assert unsent.value.code == "bad_address" and unsent.value.exchange

    asyncio.run(run())
