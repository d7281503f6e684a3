"""A till that speaks KRA's protocol to the simulator, with the examples of the field tables as its words."""

import copy
import http.client
import json
from base64 import b64encode
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "gateway" / "kra" / "data"
PREFIX = {
    "oscu_direct": "/oscu/etims-api",
    "gavaconnect": "/gavaconnect/etims-oscu/api/v1",
    "vscu": "/vscu",
}
WAYS = {  # flavour, and the column of the table that has its paths
    "oscu_direct": ("oscu_direct", "oscu"),
    "gavaconnect_standard": ("gavaconnect", "gava_standard"),
    "gavaconnect_integrator": ("gavaconnect", "gava_integrator"),
    "vscu": ("vscu", "vscu"),
}
TOKEN_PATH = "/gavaconnect/v1/token/generate?grant_type=client_credentials"
ITEM = "KE2NTTU0000001"


@cache
def table(name: str) -> Any:
    """One of the protocol's data files; not to be changed."""
    return json.loads(Path(DATA / f"{name}.json").read_text(encoding="utf-8"))


@cache
def operations() -> dict[str, Any]:
    return {row["id"]: row for row in table("endpoints")["operations"]}


def example(operation: str, flavour: str) -> dict[str, Any]:
    """The table's own example of a request."""
    given = operations()[operation]["examples"]["request"]
    key = "vscu" if flavour == "vscu" else "oscu"
    return copy.deepcopy(given.get(key) or given.get("both") or given["oscu"])


class Answer(NamedTuple):
    """What came back: HTTP status, result code (or the gateway's), message, data, and all of it."""

    status: int
    code: str
    message: str
    data: Any
    body: Any
    headers: dict[str, str]

    @property
    def is_accepted(self) -> bool:
        return self.code == "000"


class Kra:
    """A running simulator and its control interface."""

    def __init__(self, url: str) -> None:
        self.url = url  # no slash at the end

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call to the control interface; its JSON answer, or an AssertionError that says what came instead."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read().decode()
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path} answered {answer.status}: {content[:500]}"
        return json.loads(content)

    def approve(self, pin: str, branch: str, serial: str, kind: str = "oscu", **more: str) -> Any:
        return self.call(
            "POST", "/_sim/devices", {"pin": pin, "branch": branch, "serial": serial, "kind": kind, **more}
        )

    def fault(self, operation: str, fault: str, **settings: Any) -> Any:
        return self.call("POST", "/_sim/faults", {"operation": operation, "fault": fault, **settings})

    def clear_faults(self) -> None:
        self.call("DELETE", "/_sim/faults")

    def clock(self, **setting: Any) -> Any:
        return self.call("POST", "/_sim/clock", setting)

    def ledger(self) -> Any:
        return self.call("GET", "/_sim/ledger")

    def requests(self) -> Any:
        return self.call("GET", "/_sim/requests")

    def reset(self) -> None:
        self.call("POST", "/_sim/reset")


class Till:
    """One branch of one taxpayer, on one of the WAYS; `gavaconnect` alone means its standard paths."""

    def __init__(self, simulator: Kra, way: str, pin: str = "P051234567X", branch: str = "00") -> None:
        flavour, self.column = WAYS["gavaconnect_standard" if way == "gavaconnect" else way]
        self.simulator, self.flavour, self.pin, self.branch = simulator, flavour, pin, branch
        self.serial = f"{flavour}-{pin}-{branch}"
        self.key = ""
        self.token = ""
        self.headers: dict[str, str] = {}
        self.number = 1
        simulator.approve(pin, branch, self.serial, kind="vscu" if flavour == "vscu" else "oscu")

    def path(self, operation: str) -> str | None:
        path = operations()[operation]["paths"][self.column]
        return None if path is None else PREFIX[self.flavour] + path

    def identity(self) -> dict[str, str]:
        """The headers of every call but the first."""
        if self.flavour == "vscu":
            return {}
        given = {"tin": self.pin, "bhfId": self.branch, "cmcKey": self.key}
        return given | self.gateway_headers()

    def gateway_headers(self) -> dict[str, str]:
        if self.flavour != "gavaconnect":
            return {}
        if not self.token:
            basic = b64encode(b"sim-consumer:sim-secret").decode()
            answer = self.raw("GET", TOKEN_PATH, b"", {"Authorization": f"Basic {basic}"})
            self.token = answer.body["access_token"]
        return {"Authorization": f"Bearer {self.token}", "apigee_app_id": "test-app"}

    def raw(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        address = urlsplit(self.simulator.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        try:
            connection.request(method, path, body or None, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            text, seen = response.read(), {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()
        return read(response.status, text, seen)

    def send(self, operation: str, document: dict[str, Any] | None = None, **changes: Any) -> Answer:
        """One call; the example of the tables unless a document is given, with changes on top."""
        words = example(operation, self.flavour) if document is None else dict(document)
        words |= {"tin": self.pin, "bhfId": self.branch, **changes}
        return self.post(operation, words)

    def post(self, operation: str, words: Any, path: str | None = None) -> Answer:
        where = path or self.path(operation)
        assert where is not None, f"{self.flavour} has no {operation}"
        headers = self.gateway_headers() if operation == "device_init" else self.identity()
        return self.raw("POST", where, json.dumps(words).encode(), headers)

    def start(self) -> "Till":
        """Initialize, fetch the item classes, register one item; on GavaConnect report stock of it."""
        answer = self.send("device_init", {"dvcSrlNo": self.serial})
        assert answer.is_accepted, answer
        given = answer.body.get("responseBody", answer.body)  # the integrator path has the key at its root
        self.key = given["data"]["info"].get("cmcKey") or given.get("cmcKey") or ""
        assert self.send("item_class_list").is_accepted
        if self.branch == "00":  # only the head office registers items; they hold for all branches
            assert self.send("item_save", itemCd=ITEM).is_accepted
        if self.flavour == "gavaconnect":
            self.stock_in("100")
        return self

    def stock_in(self, quantity: str) -> None:
        document = example("stock_io_save", self.flavour)
        amount = Decimal(quantity) * 1160
        net = (amount / Decimal("1.16")).quantize(Decimal("0.01"))
        line = document["itemList"][0]
        line |= {"qty": float(quantity), "splyAmt": float(amount), "totAmt": float(amount)}
        line |= {"taxblAmt": float(net), "taxAmt": float(amount - net)}
        document |= {"totTaxblAmt": float(net), "totTaxAmt": float(amount - net), "totAmt": float(amount)}
        answer = self.send("stock_io_save", document, sarTyCd="06", sarNo=self.facts()["next_stock"])
        assert answer.is_accepted, answer

    def facts(self) -> Any:
        """What KRA knows of this till's device."""
        rows = self.simulator.call("GET", "/_sim/devices")
        return next(row for row in rows if row["serial"] == self.serial)

    def sell(self, number: int | None = None, reference: str = "POS-1", **changes: Any) -> Answer:
        """Send the example sale under the next number (or the given one)."""
        used = self.facts()["next_invoice"] if number is None else number
        return self.send("sales_save", invcNo=used, trdInvcNo=reference, **changes)

    def credit(self, original: int, number: int | None = None, **changes: Any) -> Answer:
        document = example("sales_save", self.flavour)
        document |= {"rcptTyCd": "R", "orgInvcNo": original, "rfdDt": document["cfmDt"], "rfdRsnCd": "06"}
        used = self.facts()["next_invoice"] if number is None else number
        return self.send("sales_save", document, **{"invcNo": used, "trdInvcNo": f"CN-{used}"} | changes)

    def ledger(self, kind: str | None = None) -> Any:
        query = f"?pin={self.pin}&branch={self.branch}" + (f"&kind={kind}" if kind else "")
        return self.simulator.call("GET", "/_sim/ledger" + query)


def read(status: int, text: bytes, headers: dict[str, str]) -> Answer:
    """One shape for the three envelopes, written for these tests alone."""
    try:
        body = json.loads(text)
    except ValueError:
        return Answer(status, "", text.decode(errors="replace"), None, None, headers)
    if not isinstance(body, dict):
        return Answer(status, "", "", None, body, headers)
    if "fault" in body:
        return Answer(status, "fault", body["fault"]["faultstring"], None, body, headers)
    if "responseHeader" in body:
        head, inner = body["responseHeader"], body["responseBody"]
        if inner is None:
            return Answer(status, str(head["responseCode"]), head["debugMessage"], None, body, headers)
        return Answer(status, inner["resultCd"], inner["resultMsg"], inner["data"], body, headers)
    return Answer(status, body.get("resultCd", ""), body.get("resultMsg", ""), body.get("data"), body, headers)
