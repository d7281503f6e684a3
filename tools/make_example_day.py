"""One trading day of a supermarket branch: `python tools/make_example_day.py` writes examples/supermarket-day.jsonl.

The same seed always gives the same file, on every Python. The catalogue is examples/items.json. Totals are worked out
here once more, so that the gateway's arithmetic is held against another's.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from typing import Any

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SEED = 20261120
OPENS = datetime(2026, 11, 20, 7, 0, tzinfo=timezone(timedelta(hours=3)))  # a Friday, Nairobi time
CUSTOMERS_AN_HOUR = [14, 20, 18, 15, 16, 20, 24, 22, 18, 19, 25, 33, 32, 24]  # from 07:00; 300 in all
CENT = Decimal("0.01")
RATES = {"A": 0, "B": 16, "C": 0, "D": 0, "E": 8}  # percent

BUSINESSES = [
    ("P051000101A", "Baraka Guest House Ltd"),
    ("P051000102B", "Mama Njeri Caterers"),
    ("P051000103C", "Highridge Primary School"),
    ("P051000104D", "Kijani Landscapes Ltd"),
    ("P051000105E", "Tumaini Children's Home"),
    ("P051000106F", "Safari Cycle Couriers Ltd"),
    ("A001000107G", "Wanjiku Kamau"),
    ("A001000108H", "Otieno Odhiambo"),
]
NEIGHBOURS = ["Achieng", "Mutua", "Chebet", "Hassan", "Nyambura", "Kiprono", "Atieno", "Mwikali", "Barasa", "Fatuma"]
OFFERS = {"OIL-2L": ("percent", "10"), "DETERGENT-1KG": ("percent", "12.5"), "SODA-2L": ("amount", "15.00")}
OFFERS |= {"TISSUE-10": ("amount", "35.00"), "COFFEE-100G": ("percent", "7.5")}
LOOSE = {"CHEESE-KG": 0.3, "GINGER-KG": 0.2, "GARLIC-KG": 0.15, "BEEF-MINCED-KG": 0.8, "OMENA-KG": 0.3}  # usual kg

SNACKS = [
    "SODA-500",
    "DOUGHNUT",
    "BISCUITS-200",
    "GUM",
    "WATER-1L",
    "NEWSPAPER",
    "YOGHURT-250",
    "ENERGY-500",
    "AIRTIME",
]
SNACKS += ["TEA-MANDAZI", "CHIPS-CHICKEN", "CHOCOLATE-100"]
DAILY = ["MILK-500ML", "MILK-500ML", "BREAD-WHITE-400", "BREAD-BROWN-400", "EGG-SINGLE", "SUKUMA-BUNCH", "TOMATO-KG"]
DAILY += ["ONION-KG", "UNGA-MAIZE-2KG", "SUGAR-BROWN-1KG", "TEA-250G", "AVOCADO", "BANANA-KG", "MILK-RAW", "SALT-1KG"]
DAILY += ["DETERGENT-SACHET", "PARACETAMOL-10", "MAIZE-LOOSE", "MILK-1L"]
FORECOURT = ["DIESEL", "PETROL", "PETROL", "KEROSENE"]
TRADE = ["RICE-5KG", "OIL-5L", "UNGA-WHEAT-2KG", "SUGAR-BROWN-2KG", "EGGS-TRAY", "TEABAGS-100", "BEANS-KG", "BEEF-KG"]
TRADE += ["POTATO-KG", "SODA-300-RGB", "TISSUE-10", "BLEACH-750", "LPG-13KG", "EXERCISE-BOOK"]


def pick(chance: Random, things: Sequence[Any]) -> Any:
    """One of them, by `random()` alone: what else Random offers may change between versions of Python."""
    return things[int(chance.random() * len(things))]


def between(chance: Random, low: int, high: int) -> int:
    return low + int(chance.random() * (high - low + 1))


def different(chance: Random, things: Sequence[str], count: int) -> list[str]:
    """Up to `count` different ones, in the order they are taken off the shelf."""
    basket: dict[str, None] = {}
    for _ in range(count):
        basket[pick(chance, things)] = None
    return list(basket)


def quantity(chance: Random, item: dict[str, Any], trade: bool) -> Decimal:
    """Pieces; kilograms and litres with two decimals, as scales and pumps give them."""
    code = item["code"]
    if code in FORECOURT:
        return Decimal(between(chance, 300, 6000)) / 100
    if code == "MILLING-KG":
        return Decimal(between(chance, 10, 90))
    if item["quantity_unit"] in {"KG", "L"}:
        usual = LOOSE.get(code, 12.0 if trade else 1.2)
        return Decimal(between(chance, int(usual * 40), int(usual * 180))) / 100
    if trade:
        return Decimal(pick(chance, [2, 4, 5, 6, 10, 12, 24]))
    return Decimal(pick(chance, [1, 1, 1, 1, 1, 2, 2, 3]))


def line(chance: Random, item: dict[str, Any], trade: bool) -> dict[str, str]:
    """A line as a till sends it: what the catalogue knows is left out, sometimes it is said all the same."""
    price = item["price"]
    if item["code"] == "AIRTIME":
        price = pick(chance, ["20.00", "50.00", "100.00", "250.00", "500.00"])
    sold = {"item_code": item["code"], "quantity": f"{quantity(chance, item, trade):f}", "unit_price": price}
    if chance.random() < 0.1:
        sold |= {"name": item["name"], "tax_type": item["tax_type"]}
    if trade and item["tax_type"] == "B":
        sold["discount_percent"] = "5"
    elif item["code"] in OFFERS:
        kind, value = OFFERS[item["code"]]
        sold[f"discount_{kind}"] = value
    elif item["quantity_unit"] == "KG" and chance.random() < 0.03:
        sold["discount_amount"] = f"{between(chance, 1, 9)}.50"  # bruised, or the last of the day
    return sold


def amounts(sold: dict[str, str], letter: str) -> tuple[Decimal, Decimal]:
    """Total and tax of a line, KES: discount first, each rounded half up, the tax is what the net leaves."""
    supply = (Decimal(sold["quantity"]) * Decimal(sold["unit_price"])).quantize(CENT, ROUND_HALF_UP)
    share = (supply * Decimal(sold.get("discount_percent", "0")) / 100).quantize(CENT, ROUND_HALF_UP)
    total = supply - share - Decimal(sold.get("discount_amount", "0"))
    net = (total * 100 / (100 + RATES[letter])).quantize(CENT, ROUND_HALF_UP)
    return total, total - net


def basket(chance: Random, hour: int, shelf: Sequence[str]) -> tuple[list[str], bool]:
    """What one customer takes, and whether it is a business buying for its trade."""
    kind = chance.random()
    if kind < 0.26:
        return different(chance, SNACKS, between(chance, 1, 3)), False
    if kind < 0.58:
        return different(chance, DAILY, between(chance, 1, 6)), False
    if kind < 0.70:
        return [pick(chance, FORECOURT), *different(chance, SNACKS, between(chance, 0, 2))], False
    if kind < 0.76:
        services = ["CAR-WASH", "TYRE-REPAIR", "MILLING-KG", "LPG-6KG", "ENGINE-OIL-1L", "CHARCOAL-BAG"]
        return different(chance, services, between(chance, 1, 2)), False
    if kind < 0.80:
        return ["SODA-300-RGB", "BOTTLE-DEPOSIT"], False
    if kind < 0.87:
        return different(chance, TRADE, between(chance, 3, 8)), True
    everything = [code for code in shelf if code not in {*FORECOURT, "BOTTLE-DEPOSIT", "CRATE-DEPOSIT", "MILLING-KG"}]
    taken = different(chance, everything + DAILY, between(chance, 6, 22 if hour >= 16 else 12))
    if chance.random() < 0.3:
        taken.append("DELIVERY")
    return list(dict.fromkeys(taken)), False


def customer(chance: Random, trade: bool) -> dict[str, str] | None:
    """A business gives its PIN, so that it can claim the tax; a few neighbours leave a name or a number."""
    if trade or chance.random() < 0.04:
        pin, name = pick(chance, BUSINESSES)
        return {"pin": pin, "name": name}
    if chance.random() < 0.06:
        number = between(chance, 0, 99)
        return {"name": pick(chance, NEIGHBOURS), "phone": f"+2547000000{number:02d}"}
    return None


def payment(chance: Random, total: Decimal, trade: bool) -> dict[str, Any]:
    """How it was paid; some pay in two ways."""
    if total >= 500 and chance.random() < 0.07:
        first = Decimal(int(total / 3 / 50) * 50)
        cash, rest = {"method": "cash", "amount": f"{first:.2f}"}, f"{total - first:.2f}"
        return {"payments": [cash, {"method": "mobile_money", "amount": rest}]}
    if trade:
        return {"payment_method": pick(chance, ["credit", "cheque", "card", "mobile_money"])}
    methods = ["mobile_money"] * 11 + ["cash"] * 6 + ["card"] * 3
    return {"payment_method": pick(chance, methods)}


def sales(items: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The day's sales in the order of the till."""
    chance, catalogue, number = Random(SEED), {item["code"]: item for item in items}, 0
    for hour, customers in enumerate(CUSTOMERS_AN_HOUR):
        for second in sorted(between(chance, 0, 3599) for _ in range(customers)):
            number += 1
            codes, trade = basket(chance, OPENS.hour + hour, list(catalogue))
            lines = [line(chance, catalogue[code], trade) for code in codes]
            if codes == ["SODA-300-RGB", "BOTTLE-DEPOSIT"]:
                lines[1]["quantity"] = lines[0]["quantity"]  # one deposit a bottle
            figures = [amounts(sold, catalogue[sold["item_code"]]["tax_type"]) for sold in lines]
            total, tax = sum((row[0] for row in figures), Decimal(0)), sum((row[1] for row in figures), Decimal(0))
            sale: dict[str, Any] = {"reference": f"WL-20261120-{number:04d}"}
            sale["issued_at"] = (OPENS + timedelta(hours=hour, seconds=second)).isoformat()
            if buyer := customer(chance, trade):
                sale["customer"] = buyer
            sale |= payment(chance, total, trade)
            sale["lines"] = lines
            if chance.random() < 0.3:
                sale["totals"] = {"amount": f"{total:.2f}", "tax": f"{tax:.2f}"}
            if "DELIVERY" in codes:
                sale["remark"] = (
                    f"Delivery {pick(chance, ['before noon', 'after 17:00', 'to the gate', 'to the office'])}"
                )
            yield sale


def day(items: Sequence[dict[str, Any]]) -> str:
    """The file: one sale a line."""
    return "".join(json.dumps(sale, ensure_ascii=False) + "\n" for sale in sales(items))


def main() -> None:
    items = json.loads((EXAMPLES / "items.json").read_text(encoding="utf-8"))["items"]
    (EXAMPLES / "supermarket-day.jsonl").write_text(day(items), encoding="utf-8")


if __name__ == "__main__":
    main()
