"""The client and the simulator over a real socket: the ways to reach KRA, and a shop that speaks over one of them."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from gateway.kra.calls import stock
from gateway.kra.client import Client
from gateway.kra.codes import DEFAULT_RATES, ProductType, StockReason, TaxClass
from gateway.kra.documents import AppCredentials, Credentials, Exchange, ItemDocument, SaleDocument, SaleLine, Signature
from gateway.kra.profiles import Flavour, simulator
from gateway.kra.sessions import open_session
from gateway.kra.stock_documents import StockDocument, StockLine
from gateway.kra.tax import AmountProfile, LineIn, figures
from tests.servers import Simulator

APP = AppCredentials("sim-consumer", "sim-secret", "sim-app")
WAYS: dict[str, tuple[Flavour, str]] = {
    "oscu_direct": (Flavour.OSCU_DIRECT, "oscu"),
    "gavaconnect_standard": (Flavour.GAVACONNECT, "gava_standard"),
    "gavaconnect_integrator": (Flavour.GAVACONNECT, "gava_integrator"),
    "vscu": (Flavour.VSCU, "vscu"),
}
BUYER, BUYER_NAME = "A012345678Z", "EXAMPLE BUYER LTD"
CLASS = "5016150900"
JUST_NOW = datetime(2026, 11, 20, tzinfo=UTC)  # what changed since: little, and soon read

T = TypeVar("T")
_pins = itertools.count(700_000_000)


@dataclass
class Shop:
    """A branch with a device of its own kind, and the numbers that it uses next."""

    kra: Simulator
    way: str
    client: Client
    pin: str
    branch: str = "00"
    key: str = ""
    number: int = 1
    stock_number: int = 1
    serial: int = 1
    codes: dict[str, str] = field(default_factory=dict)

    @property
    def device(self) -> str:
        return f"{self.pin}-{self.branch}"

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.pin, self.branch, self.key, self.device)

    @property
    def kind(self) -> str:
        return "vscu" if self.way == "vscu" else "oscu"

    async def activate(self) -> None:
        """Have the device approved and get its key."""
        await asyncio.to_thread(self.kra.approve, self.pin, self.branch, self.device, self.kind)
        raw = await self.client.initialize_device(self.pin, self.branch, self.device)
        self.key = self.client.read_activation(raw, self.client.profile.flavour).key
        await self.client.item_classes(self.credentials, JUST_NOW)

    async def register(self, name: str, *, service: bool = False, **changes: Any) -> Exchange:
        """Register an item under the next serial."""
        document = ItemDocument(
            **{
                "item_class": CLASS,
                "name": name,
                "product_type": ProductType.SERVICE if service else ProductType.FINISHED_PRODUCT,
                "packaging_unit": "NT",
                "quantity_unit": "NO",
                "tax_class": TaxClass.STANDARD,
                "default_price": Decimal("116.00"),
                **changes,
            }
        )
        body = self.client.item_with_number(self.client.item_body(document, self.credentials), self.serial)
        exchange = await self.client.save_item(self.credentials, body)
        self.codes[name] = self.client.item_code(document, self.serial)
        self.serial += 1
        return exchange

    def sale(self, item: str = "Repair", **changes: Any) -> SaleDocument:
        amounts = self.amounts()
        line = SaleLine(
            item_code=self.codes[item],
            item_class=CLASS,
            name=item,
            packaging_unit="NT",
            quantity_unit="NO",
            quantity=Decimal(2),
            tax_class=TaxClass.STANDARD,
            figures=amounts.lines[0],
        )
        values: dict[str, Any] = {
            "kind": "sale",
            "reference": f"INV-{self.number}",
            "issued_at": datetime(2026, 11, 20, 7, 0, tzinfo=UTC),
            "lines": [line],
            "figures": amounts,
            "rates": DEFAULT_RATES,
            "tag": f"rvp:{self.pin}-{self.number}",
            **changes,
        }
        return SaleDocument(**values)

    def amounts(self) -> Any:
        one = [LineIn(Decimal(2), Decimal("116.00"), TaxClass.STANDARD)]
        return figures(one, rates=DEFAULT_RATES, profile=AmountProfile.INCLUSIVE_NET_BASE, prices_include_tax=True)

    async def sell(self, *, number: int | None = None, **changes: Any) -> tuple[Signature, Exchange]:
        """Sell under the next number, or that one. The next one moves only when KRA has signed."""
        chosen = self.number if number is None else number
        body = self.client.with_number(self.client.sale_body(self.sale(**changes), self.credentials), chosen)
        signed = await self.client.save_sale(self.credentials, body, chosen)
        self.number = chosen + 1
        return signed

    async def move(
        self, item: str, quantity: int = 10, reason: StockReason = StockReason.ADJUSTMENT_IN, **changes: Any
    ) -> Exchange:
        """Report a stock movement under the next number."""
        basket = [LineIn(Decimal(quantity), Decimal("116.00"), TaxClass.STANDARD)]
        amounts = figures(
            basket, rates=DEFAULT_RATES, profile=AmountProfile.INCLUSIVE_NET_BASE, prices_include_tax=True
        )
        line = StockLine(
            item_code=self.codes[item],
            item_class=CLASS,
            name=item,
            packaging_unit="NT",
            quantity_unit="NO",
            quantity=Decimal(quantity),
            tax_class=TaxClass.STANDARD,
            figures=amounts.lines[0],
        )
        number: int = changes.pop("number", self.stock_number)
        document = StockDocument(reason=reason, occurred_on=date(2026, 11, 20), lines=[line], **changes)
        body = stock.with_stock_number(stock.stock_body(self.client, document, self.credentials), number)
        exchange = await stock.save_movement(self.client, self.credentials, body, number)
        self.stock_number = number + 1
        return exchange


@asynccontextmanager
async def connected(kra: Simulator, way: str, *, app: AppCredentials = APP, **overrides: Any) -> Any:
    """A client over one of the WAYS."""
    flavour, paths = WAYS[way]
    profile = simulator(flavour, kra.url, **{"paths": paths, **overrides})
    async with open_session() as session:
        yield Client(profile, session=session, app=app if flavour is Flavour.GAVACONNECT else None)


def playing(kra: Simulator, way: str, play: Callable[[Shop], Awaitable[T]], **overrides: Any) -> T:
    """What `play` gives for a new shop whose device is active and that offers a repair service."""

    async def run() -> T:
        async with connected(kra, way, **overrides) as client:
            shop = Shop(kra, way, client, f"P{next(_pins)}X")
            await shop.activate()
            await shop.register("Repair", service=True)
            return await play(shop)

    return asyncio.run(run())


def recorded(kra: Simulator, shop: Shop) -> list[tuple[int, str]]:
    """Numbers and references that KRA has recorded for the shop."""
    return [(row["number"], row["reference"]) for row in kra.ledger(pin=shop.pin)]
