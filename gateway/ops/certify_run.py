"""A certification run under way: what a case is, how it ended, and how numbered documents are sent."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, TypeVar

from gateway.kra.client import Client
from gateway.kra.codes import DEFAULT_RATES, TaxClass
from gateway.kra.documents import Activation, Credentials, Exchange, ItemClass, SaleDocument, Signature
from gateway.kra.errors import Drift, Duplicate, NoAnswer
from gateway.kra.operations import path_of
from gateway.kra.stock_documents import ImportedItem, SupplierSale
from gateway.ops import certify_shop as shop
from gateway.ops.certify_key import KeyFile

T = TypeVar("T")


class Status(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    NOT_OFFERED = "not offered"


class NotRun(Exception):
    """The case lacks something; the message says what."""


class Failed(Exception):
    """KRA answered, but not what it must."""


@dataclass(slots=True)
class Result:
    """One case after it ran: what was said to KRA, what came back, remarks for the reader."""

    case: "Case"
    status: Status = Status.NOT_RUN
    code: str = ""
    message: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def milliseconds(self) -> int:
        return sum(exchange.duration_ms for exchange in self.exchanges)


@dataclass(slots=True, kw_only=True)
class Run:
    """A certification run under way: who speaks, and what the cases have brought so far."""

    client: Client
    key_file: KeyFile
    activate: Callable[["Run"], Awaitable[Activation]]
    pin: str
    branch: str
    serial: str
    buyer: tuple[str, str]  # PIN and name
    started: datetime
    now: Callable[[], datetime]
    activation: Activation | None = None
    classes: dict[str, ItemClass] = field(default_factory=dict)
    class_of: dict[str, str] = field(default_factory=dict)
    rates: dict[TaxClass, Decimal] = field(default_factory=lambda: dict(DEFAULT_RATES))
    codes: dict[str, str] = field(default_factory=dict)  # article to KRA's item code
    stocked: dict[str, Decimal] = field(default_factory=dict)
    supplier_sales: list[SupplierSale] = field(default_factory=list)
    imports: list[ImportedItem] = field(default_factory=list)
    sale: shop.Sold | None = None
    walk_in: shop.Sold | None = None
    credit_note: shop.Sold | None = None
    result: Result | None = None

    @property
    def credentials(self) -> Credentials:
        if self.activation is None:
            raise NotRun("needs test case 1")
        return Credentials(self.pin, self.branch, self.activation.key, self.serial)

    def keep(self, exchange: Exchange | None) -> None:
        assert self.result is not None
        if exchange is not None:
            self.result.exchanges.append(exchange)

    def note(self, sentence: str) -> None:
        assert self.result is not None
        self.result.notes.append(sentence)

    async def listed(self, call: Callable[[Client, Credentials], Awaitable[tuple[T, datetime | None, Exchange]]]) -> T:
        """The rows of a look-up; its exchange is kept."""
        rows, _, exchange = await call(self.client, self.credentials)
        self.keep(exchange)
        return rows

    def code(self, key: str) -> str:
        if key not in self.codes:
            raise NotRun("needs test case 10")
        return self.codes[key]


class Case(NamedTuple):
    """One of KRA's test cases: its number there, our name for its folder, the call it is about."""

    number: str
    title: str
    folder: str
    operation: str
    play: Callable[[Run], Awaitable[None]]
    empty_passes: bool = True  # 001


# Numbers


async def signed(run: Run, document: SaleDocument) -> tuple[int, Signature]:
    """Have a document signed. A lost answer is looked up, and the same bytes are sent again only if KRA has nothing."""
    body = run.client.sale_body(document, run.credentials)
    repaired = False
    while True:
        number = run.key_file.numbers.invoice
        signature: Signature | None = None
        try:
            signature, exchange = await run.client.save_sale(
                run.credentials, run.client.with_number(body, number), number
            )
            run.keep(exchange)
        except Drift as error:
            if repaired or not goes_on(run, "invoice", error):
                raise
            repaired = True
            continue
        except (NoAnswer, Duplicate) as error:
            if repaired or path_of("invoice_details", run.client.profile) is None:
                raise
            repaired = True
            run.keep(error.exchange)
            found, exchange = await run.client.find_invoice(run.credentials, number)
            run.keep(exchange)
            if found is None:
                continue
            if found.tag != document.tag:
                raise
            signature = found.signature
            run.note("The answer was lost; the receipt was recovered by look-up.")
        count(run, "invoice", number)
        return number, signature


async def numbered(run: Run, series: str, send: Callable[[int], Awaitable[Exchange]]) -> None:
    """Send a document of a numbered series, under the number that KRA expects if it says that ours is behind."""
    number: int = getattr(run.key_file.numbers, series)
    try:
        exchange = await send(number)
    except Drift as error:
        if not goes_on(run, series, error):
            raise
        number = getattr(run.key_file.numbers, series)
        exchange = await send(number)
    run.keep(exchange)
    count(run, series, number)


def goes_on(run: Run, series: str, error: Drift) -> bool:
    """Whether KRA expects a higher number than ours, as after an earlier run; then that is the next. Never back."""
    number: int = getattr(run.key_file.numbers, series)
    if error.expected is None or error.expected <= number:
        return False
    run.keep(error.exchange)
    setattr(run.key_file.numbers, series, error.expected)
    run.note(f"KRA expects number {error.expected}, not {number}: went on with it.")
    return True


def count(run: Run, series: str, number: int) -> None:
    setattr(run.key_file.numbers, series, number + 1)
    run.key_file.save()
