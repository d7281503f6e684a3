"""The world a new taxpayer finds: suppliers and their invoices, imported goods, notices, buyers whose PIN is known.

All of it is the same for every run. It lives beside the ledger of real calls, which stays empty until somebody sells.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from gateway.simulator.amounts import LETTERS, rounded
from gateway.simulator.clock import text14, text19
from gateway.simulator.imports import import_key
from gateway.simulator.purchases import supplier_key
from gateway.simulator.world import Taxpayer, World

KNOWN_PINS: Final = {
    "A012345678Z": "EXAMPLE BUYER LTD",
    "P000000101S": "SIMULATED WHOLESALERS LTD",
    "P000000102S": "SIMULATED FUELS LTD",
    "A000000103S": "WANJIKU SIMULATED",
}
_NOTICES: Final = (
    ("Planned maintenance", "The simulated service pauses on Sunday from 02:00 to 04:00."),
    ("Tax rates", "Take the rates from the code list, class 04, and refresh it daily."),
    ("Month end", "Answers may be slow in the last days of the month."),
)
# supplier, name of the goods, item class, tax letter, quantity, price with VAT
_SUPPLIES: Final = (
    ("P000000101S", "Brown sugar 50 kg", "5016150304", "B", 4, Decimal("7250.00")),
    ("P000000102S", "Diesel", "1510150201", "E", 100, Decimal("171.47")),
)
_IMPORTS: Final = (
    (
        "20055900000",
        "BAKED BEANS",
        "BR",
        2922,
        19946,
        "KG",
        Decimal("19945.57"),
        Decimal("296865.60"),
        "USD",
        Decimal("129.79"),
    ),
    (
        "85171300000",
        "SMARTPHONES",
        "CN",
        40,
        400,
        "NO",
        Decimal("212.40"),
        Decimal("38000.00"),
        "USD",
        Decimal("129.79"),
    ),
    (
        "87112000000",
        "MOTORCYCLES IN PARTS",
        "IN",
        60,
        60,
        "NO",
        Decimal("6600.00"),
        Decimal("42000.00"),
        "USD",
        Decimal("129.79"),
    ),
)


def seed_country(world: World) -> None:
    """Notices and PINs that exist whoever calls. A second time changes nothing."""
    if world.records.get("notice"):
        return
    now = world.clock.now_ms()
    for pin, name in KNOWN_PINS.items():
        world.taxpayers.setdefault(pin, Taxpayer(pin, name))
        world.ledger.touch(world.taxpayers[pin].row)
    for number, (title, text) in enumerate(_NOTICES, 1):
        body = {"noticeNo": number, "title": title, "cont": text, "dtlUrl": f"https://example.invalid/notice/{number}",
                "regrNm": "Simulated administrator", "regDt": text14(now)}  # fmt: skip
        world.save("notice", "", "", str(number), body, now)


def seed_taxpayer(world: World, pin: str) -> None:
    """Invoices from suppliers and imported goods for a PIN. A second time changes nothing."""
    if pin in KNOWN_PINS or world.records.get("supplier_invoice", {}).get((pin, "")):
        return
    now = world.clock.now_ms()
    for number, supply in enumerate(_SUPPLIES, 1):
        body = _supplier_invoice(world, number, supply, now)
        key = supplier_key(body["spplrTin"], body["spplrBhfId"], number)
        world.save("supplier_invoice", pin, "", key, body, now)
    declared = text14(now)[6:8] + text14(now)[4:6] + text14(now)[:4]  # day first, as seen live
    for line, row in enumerate(_IMPORTS, 1):
        body = _imported(pin, declared, line, row)
        world.save("import", pin, "", import_key(body["taskCd"], declared, line), body, now)


def _supplier_invoice(world: World, number: int, supply: tuple[Any, ...], now: int) -> dict[str, Any]:
    supplier, name, item_class, letter, quantity, price = supply
    rate = world.settings.rates[letter]
    total = rounded(quantity * price)
    taxable = rounded(total * 100 / (100 + rate))
    tax = total - taxable
    row: dict[str, Any] = {
        "spplrTin": supplier, "spplrNm": KNOWN_PINS[supplier], "spplrBhfId": "00", "spplrInvcNo": number,
        "spplrSdcId": f"SIMCU9{number:09d}", "spplrMrcNo": f"SIM9{number:07d}", "rcptTyCd": "S", "pmtTyCd": "02",
        "cfmDt": text19(text14(now)), "salesDt": text14(now)[:8], "stockRlsDt": text19(text14(now)), "totItemCnt": 1,
    }  # fmt: skip
    row |= {f"taxblAmt{one}": taxable if one == letter else 0 for one in LETTERS}
    row |= {f"taxRt{one}": world.settings.rates[one] for one in LETTERS}
    row |= {f"taxAmt{one}": tax if one == letter else 0 for one in LETTERS}
    row |= {"totTaxblAmt": taxable, "totTaxAmt": tax, "totAmt": total, "remark": None}
    row["itemList"] = [{
        "itemSeq": 1, "itemCd": f"KE2NTNO{number:07d}", "itemClsCd": item_class, "itemNm": name, "bcd": None,
        "pkgUnitCd": "NT", "pkg": 1, "qtyUnitCd": "NO", "qty": quantity, "prc": price, "splyAmt": total, "dcRt": 0,
        "dcAmt": 0, "taxTyCd": letter, "taxblAmt": taxable, "taxAmt": tax, "totAmt": total,
    }]  # fmt: skip
    return row


def _imported(pin: str, declared: str, line: int, row: tuple[Any, ...]) -> dict[str, Any]:
    hs_code, name, country, packages, quantity, unit, weight, amount, currency, rate = row
    return {
        "taskCd": pin[1:8], "dclDe": declared, "itemSeq": line, "dclNo": f"C-26-SIM-{int(pin[1:7]):06d}",
        "hsCd": hs_code,
        "itemNm": name, "imptItemsttsCd": "2", "orgnNatCd": country, "exptNatCd": country, "pkg": packages,
        "pkgUnitCd": None, "qty": quantity, "qtyUnitCd": unit, "totWt": weight, "netWt": weight,
        "spplrNm": "SIMULATED EXPORTER", "agntNm": "SIMULATED CLEARING LTD", "invcFcurAmt": amount,
        "invcFcurCd": currency,
        "invcFcurExcrt": rate,
    }  # fmt: skip
