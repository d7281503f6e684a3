"""Tills that sell through a gateway under fire, and the book in which every answer they got is written down."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.chaos.plant import Plant

ITEMS = [
    {"code": "SUGAR", "name": "Brown sugar 1kg", "tax_type": "B", "item_class": "5016150900", "quantity_unit": "KG"},
    {"code": "SYRUP", "name": "Cane syrup 500ml", "tax_type": "B", "item_class": "5016150900", "quantity_unit": "KG"},
]
IDLE_SECONDS = 2.0
TIMEOUT_SECONDS = 40.0  # a till waits 25 s at most for its receipt
ONBOARDING_SECONDS = 120.0  # nothing is broken yet, so nothing is repeated either
SETTLED = frozenset({"signed", "refused", "cancelled"})


@dataclass(frozen=True, slots=True)
class Said:
    """One answer about one reference, or that none came (`status` None). Times are seconds since 1970."""

    reference: str
    pin: str
    how: str  # post, credit or status
    door: str
    sent: float
    at: float
    status: int | None
    body: Any

    @property
    def document(self) -> dict[str, Any] | None:
        """The invoice as this answer showed it; None for a problem or no answer."""
        return (
            self.body if isinstance(self.body, dict) and "reference" in self.body and "receipt" in self.body else None
        )

    @property
    def is_clear(self) -> bool:
        """Whether the till need not ask again: it is kept, or it was told plainly why not."""
        return self.document is not None or (self.status is not None and 400 <= self.status < 500)


class Book:
    """Everything that was ever answered, in order; safe for threads."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.ids: dict[str, str] = {}
        self.first_sent: dict[str, float] = {}
        self._callers: list[Caller] = []
        self._lock = threading.Lock()

    def caller(self, *, timeout: float = TIMEOUT_SECONDS) -> "Caller":
        """A caller for one thread, closed with the book."""
        with self._lock:
            self._callers.append(Caller(timeout=timeout))
            return self._callers[-1]

    def close(self) -> None:
        """Hang up every line; the threads that use them must be done."""
        for caller in self._callers:
            caller.close()

    def sending(self, reference: str) -> float:
        now = time.time()
        with self._lock:
            self.first_sent.setdefault(reference, now)
        return now

    def write(self, said: Said) -> Said:
        with self._lock:
            self.said.append(said)
            if said.document is not None:
                self.ids[said.reference] = said.document["id"]
        return said


class Caller:
    """HTTP to all doors of a plant on kept connections; one for each thread."""

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._lines: dict[str, http.client.HTTPConnection] = {}
        self._used: dict[str, float] = {}

    def close(self) -> None:
        for line in self._lines.values():
            line.close()

    def call(self, door: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int | None, Any]:
        """Status and JSON, or None and what went wrong. Nothing is repeated here."""
        line = self._lines.get(door)
        if line is not None and time.monotonic() - self._used[door] > IDLE_SECONDS:
            line.close()  # the server closes what is idle for 5 s; http.client then opens it anew
        self._used[door] = time.monotonic()
        if line is None:
            address = urlsplit(door)
            line = self._lines[door] = http.client.HTTPConnection(
                str(address.hostname), address.port, timeout=self._timeout
            )
        try:
            line.request(method, path, None if body is None else json.dumps(body), headers)
            answer = line.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            line.close()
            return None, f"{type(error).__name__}: {error}"


@dataclass
class Company:
    """One taxpayer with one branch and one device."""

    plant: Plant
    book: Book
    pin: str
    key: str
    device: str
    id: str
    _callers: threading.local = field(default_factory=threading.local, repr=False)

    def _caller(self) -> Caller:
        known: Caller | None = getattr(self._callers, "one", None)
        if known is None:
            known = self._callers.one = self.book.caller()
        return known

    def sale(self, reference: str, **changes: Any) -> dict[str, Any]:
        """The sale that a reference stands for: always the same content."""
        draw = random.Random(reference)
        lines = [
            {
                "item_code": draw.choice(ITEMS)["code"],
                "quantity": str(draw.randint(1, 5)),
                "unit_price": f"{draw.randint(100, 99_999) / 100:.2f}",
            }
            for _ in range(draw.randint(1, 3))
        ]
        return {
            "reference": reference,
            "issued_at": "2026-11-20T10:00:00+03:00",
            "lines": lines,
            "payment_method": "cash",
            **changes,
        }

    def post(self, reference: str, *, door: int = 0, wait: int = 5, **changes: Any) -> Said:
        """Post a sale once, and write down what came."""
        address = self.plant.doors[door % len(self.plant.doors)]
        sent = self.book.sending(reference)
        headers = {**self.headers, "Prefer": f"wait={wait}"}
        status, body = self._caller().call(address, "POST", "/api/sales/", self.sale(reference, **changes), **headers)
        return self.book.write(Said(reference, self.pin, "post", address, sent, time.time(), status, body))

    def post_until_clear(
        self, reference: str, *, door: int = 0, wait: int = 5, give_up: Callable[[], bool] = lambda: False, **more: Any
    ) -> Said:
        """Post, and repeat at the next door with the same reference until the answer is clear."""
        while True:
            said = self.post(reference, door=door, wait=wait, **more)
            if said.is_clear or give_up():
                return said
            door += 1
            time.sleep(0.15)

    def credit(self, reference: str, sale: str, *, door: int = 0, wait: int = 5, **note: Any) -> Said:
        """Post a credit note of a sale once, both by their references, and write down what came."""
        address = self.plant.doors[door % len(self.plant.doors)]
        sent = self.book.sending(reference)
        body = {"reference": reference, "original_reference": sale, "reason": "refund", "received_by": "Achieng"} | note
        headers = {**self.headers, "Prefer": f"wait={wait}"}
        status, answer = self._caller().call(address, "POST", "/api/integration/credit-notes/", body, **headers)
        return self.book.write(Said(reference, self.pin, "credit", address, sent, time.time(), status, answer))

    def credit_until_clear(self, reference: str, sale: str, *, seconds: float = 60, **note: Any) -> Said:
        """Post a credit note, and repeat at the next door with the same reference until the answer is clear."""
        door, give_up = 0, time.monotonic() + seconds
        while True:
            said = self.credit(reference, sale, door=door, **note)
            if said.is_clear or time.monotonic() > give_up:
                return said
            door += 1
            time.sleep(0.15)

    def look(self, reference: str, *, door: int = 0) -> Said:
        """Ask how a document that was acknowledged stands now."""
        address = self.plant.doors[door % len(self.plant.doors)]
        path = f"/api/integration/transactions/{self.book.ids[reference]}/status/"
        sent = time.time()
        status, body = self._caller().call(address, "GET", path, **self.headers)
        return self.book.write(Said(reference, self.pin, "status", address, sent, time.time(), status, body))

    def wait_for(self, reference: str, *, seconds: float, door: int = 0) -> dict[str, Any]:
        """The document once it is settled, or as it is when the time is over."""
        give_up = time.monotonic() + seconds
        document: dict[str, Any] = {}
        while True:
            document = self.look(reference, door=door).document or document
            if document.get("status") in SETTLED or time.monotonic() > give_up:
                return document
            time.sleep(0.05)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int | None, Any]:
        """One call at the first door that is no sale."""
        return self._caller().call(self.plant.doors[0], method, path, body, **self.headers)

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every call of this company."""
        return {"Authorization": f"Token {self.key}", "Content-Type": "application/json"}


def pin_of(seed: int, number: int) -> str:
    return f"P{seed % 100_000:05d}{number:04d}X"


def onboard(plant: Plant, book: Book, pin: str) -> Company:
    """A company with an active device and registered items, over HTTP."""
    caller = book.caller(timeout=ONBOARDING_SECONDS)
    serial = f"SERIAL-{pin}"
    plant.simulator.approve(pin, "00", serial)
    status, body = caller.call(
        plant.doors[0],
        "POST",
        "/api/onboard/",
        {
            "company": {"pin": pin, "name": f"Stores {pin}"},
            "branch": {"code": "00", "name": "Head office", "address": "Moi Avenue 12", "city": "Nairobi"},
            "device": {"serial": serial, "device_type": "oscu"},
        },
        **{"Content-Type": "application/json"},
    )
    assert status == 201 and body["device"]["status"] == "active", (status, body)
    company = Company(plant, book, pin, body["api_key"]["key"], body["device"]["id"], body["company"]["id"])
    headers = {**company.headers, "Prefer": "wait=0"}
    for _ in range(60):
        status, body = caller.call(plant.doors[0], "POST", "/api/integration/items/sync/", {"items": ITEMS}, **headers)
        assert status == 200, (status, body)
        if all(item["kra_code"] for item in body["items"]):
            return company
        time.sleep(0.5)
    raise AssertionError(f"the items of {pin} were not registered: {body}")


class OrderlyTill(threading.Thread):
    """Posts its next sale only when the last one was acknowledged; else repeats the same reference elsewhere."""

    def __init__(self, company: Company, seed: str, over: threading.Event, give_up_at: Callable[[], float]) -> None:
        super().__init__(name=f"orderly till of {company.pin}", daemon=True)
        self.company, self._draw, self._over = company, random.Random(f"{seed} orderly {company.pin}"), over
        self._give_up_at = give_up_at
        self.references: list[str] = []

    def run(self) -> None:
        while not self._over.is_set():
            reference = f"{self.company.pin}-O-{len(self.references) + 1}"
            self.references.append(reference)
            door, wait = self._draw.randrange(2), self._draw.choice([0, 1, 3, 5])
            pause = self._draw.uniform(0.02, 0.25)
            self.company.post_until_clear(
                reference, door=door, wait=wait, give_up=lambda: time.monotonic() > self._give_up_at()
            )
            self._over.wait(pause)


class ImpatientTill(threading.Thread):
    """Does not wait, does not look, posts several at once and the same one twice, at both doors."""

    def __init__(self, company: Company, seed: str, over: threading.Event, give_up_at: Callable[[], float]) -> None:
        super().__init__(name=f"impatient till of {company.pin}", daemon=True)
        self.company, self._draw, self._over = company, random.Random(f"{seed} impatient {company.pin}"), over
        self._give_up_at = give_up_at
        self.references: list[str] = []

    def run(self) -> None:
        with ThreadPoolExecutor(3, thread_name_prefix=self.name) as hands:
            while not self._over.is_set():
                self._act(hands)
                self._over.wait(self._draw.uniform(0.05, 0.4))
            for reference in self.references:  # what nobody acknowledged is repeated until somebody does
                if reference not in self.company.book.ids:
                    hands.submit(
                        self.company.post_until_clear,
                        reference,
                        wait=0,
                        give_up=lambda: time.monotonic() > self._give_up_at(),
                    )

    def _act(self, hands: ThreadPoolExecutor) -> None:
        what, door = self._draw.random(), self._draw.randrange(2)
        if what < 0.6 or not self.references:
            self._new(hands, door)
        elif what < 0.75:
            self._new(hands, door)
            hands.submit(self.company.post, self.references[-1], door=door + 1, wait=0)
        elif what < 0.9:
            hands.submit(self.company.post, self._draw.choice(self.references), door=door, wait=0)
        else:
            known = [reference for reference in self.references if reference in self.company.book.ids]
            if known:
                hands.submit(self.company.look, self._draw.choice(known), door=door)

    def _new(self, hands: ThreadPoolExecutor, door: int) -> None:
        self.references.append(f"{self.company.pin}-I-{len(self.references) + 1}")
        hands.submit(self.company.post, self.references[-1], door=door, wait=0)


def settle(companies: list[Company], book: Book, *, seconds: float) -> dict[str, dict[str, Any]]:
    """Ask for every acknowledged document until it is settled or the time is over; as each one is at the end."""
    by_pin = {company.pin: company for company in companies}
    owner = {said.reference: by_pin[said.pin] for said in book.said}
    final: dict[str, dict[str, Any]] = {}
    give_up = time.monotonic() + seconds
    left = list(book.ids)
    with ThreadPoolExecutor(4) as hands:
        while left:
            for said in hands.map(lambda reference: owner[reference].look(reference), left):
                if said.document is not None:
                    final[said.reference] = said.document
            left = [reference for reference in left if final.get(reference, {}).get("status") not in SETTLED]
            if not left or time.monotonic() > give_up:
                break
            time.sleep(0.3)
    return final
