"""A gateway with Amani Stores in it, a key of every role, the staff, and a stranger; what permission tests ask with."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests import servers
from tests.gateway import Answer, Gateway, Shop
from tests.gateway import gateway as running_gateway

AMANI = "Amani Secret Stores"
REFERENCE = "AMANI-SECRET-POS-1"
ITEM = "AMANI-SECRET-ITEM"
FILE = (  # as a browser sends it
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="items.csv"\r\nContent-Type: text/csv\r\n\r\n'
    b"code,name,item_class\r\nAMANI-SECRET-ROW,Secret tea leaves,5016150900\r\n\r\n--x--\r\n"
)
ROLES = ("owner", "manager", "accountant", "cashier", "viewer", "revenue_officer")
STAFF = ("admin", "support", "read_only")


@dataclass
class House:
    gateway: Gateway
    amani: Shop
    stranger: Shop
    victim: Shop  # whatever is done to a company is done to this one
    document: str
    item: str
    upload: str = ""
    invitation: str = ""
    member: str = ""
    customer: str = ""
    z_report: str = ""
    batch: str = ""
    keys: dict[str, str] = field(default_factory=dict)  # of Amani by role, of the staff by role, and some others

    @property
    def secrets(self) -> dict[str, str]:
        """What nobody else may see of Amani Stores."""
        ids = {"company": self.amani.company, "device": self.amani.device}
        ids |= {"document": self.document, "item": self.item, "prefix": self.keys["owner"][:16]}
        ids |= {"upload": self.upload, "row": "AMANI-SECRET-ROW", "batch": self.batch}
        ids |= {
            "invitation": self.invitation,
            "member": self.member,
            "customer": self.customer,
            "z": self.z_report,
            "buyer": "Secret Buyer",
        }
        return {**ids, "pin": self.amani.pin, "name": AMANI, "reference": REFERENCE, "item code": ITEM}

    def ask(self, who: str, method: str, path: str, body: Any = None) -> Answer:
        """One call with somebody's key; `nobody` has none. Bytes are a file."""
        headers = {"Prefer": "wait=2"}
        if isinstance(body, bytes):
            headers["Content-Type"] = "multipart/form-data; boundary=x"
        return self.gateway.call(method, path, body, key=self.keys[who], headers=headers)

    def make_key(self, asker: str, shop: Shop, role: str, **more: Any) -> str:
        """The text of a new key of a company."""
        answer = self.gateway.call(
            "POST", f"/api/companies/{shop.company}/keys/", {"role": role, **more}, key=self.keys[asker]
        )
        assert answer.status == 201, answer
        return str(answer.body["key"])


@contextmanager
def open_house(folder: Path, database_url: str, simulator: servers.Simulator, **settings: str) -> Iterator[House]:
    """The house, until the block ends. Onboarding needs an operator key here, as in production."""
    settings = {"OPEN_ONBOARDING": "false", "LIMIT_WRONG_KEYS": "", **settings}
    with running_gateway(folder, database_url, simulator, **settings) as gateway:
        staff = {
            role: gateway.manage("create_operator_key", f"{role}@integrator.example", "--role", role) for role in STAFF
        }
        reseller = gateway.manage("create_operator_key", "admin@duka.example", "--reseller", "Duka Systems")
        amani, stranger, victim = (
            gateway.onboard(simulator, operator=staff["admin"], owner=f"owner@{name[:5].lower()}.example", name=name)
            for name in (AMANI, "Stranger Ltd", "Victim Ltd")
        )
        amani.register([{"code": ITEM, "name": "Secret tea", "tax_type": "B", "item_class": "5016150900"}])
        document = amani.sell(REFERENCE)
        assert document.status == 201, document
        stranger.sell("STRANGER-1")
        (item,) = [row for row in amani.call("GET", "/api/items/").body["items"] if row["code"] == ITEM]
        house = House(gateway, amani, stranger, victim, document.body["id"], item["id"])
        house.keys = {**staff, "reseller": reseller, "stranger": stranger.key, "nobody": "", "wrong": "rvp_sbx_wrong"}
        house.keys["owner"] = amani.key
        guest = {"email": "secret.guest@amani.example", "role": "viewer"}
        path = f"/api/companies/{amani.company}/invitations/"
        house.invitation = house.ask("owner", "POST", path, guest).body["id"]
        people = house.ask("owner", "GET", f"/api/companies/{amani.company}/members/").body["members"]
        house.member = people[0]["id"]
        buyer = {"number": "C-9", "pin": "A011111111A", "name": "Secret Buyer"}
        house.customer = house.ask("owner", "POST", "/api/customers/", buyer).body["id"]
        house.upload = house.ask("owner", "POST", "/api/items/uploads/", FILE).body["id"]
        house.z_report = house.ask("owner", "POST", "/api/reports/z/", {}).body["id"]
        house.batch = house.ask("owner", "POST", "/api/receipts/batches/", {"day": "2026-11-20"}).body["id"]
        for role in ROLES[1:]:
            ends = (datetime.now(UTC) + timedelta(days=7)).isoformat()
            more = {"expires_at": ends} if role == "revenue_officer" else {}
            house.keys[role] = house.make_key("owner", amani, role, **more)
        house.keys["production"] = house.make_key("admin", amani, "owner", environment="production")
        house.keys["spare"] = house.make_key("owner", amani, "viewer", name="To be rotated and revoked")
        yield house


def seen_in(answer: Answer, secrets: dict[str, str], *, sent: str = "") -> list[str]:
    """Which of the secrets stand in an answer, but for what was sent in the question."""
    text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
    text += json.dumps(answer.headers)
    return [name for name, value in secrets.items() if value in text and value not in sent]
