"""Work a kept sale out anew after KRA's tax rates have changed: the same content, other figures, another body.

Only for a sale that KRA has refused and of which no try is unanswered: its number is free, so nothing that KRA might
hold changes under its hands.
"""

import logging
from typing import Any

import msgspec

from gateway.catalog.reference import CODES, fetch_reference_data
from gateway.catalog.shelf import Shelf
from gateway.devices.desk import Desk, Seat
from gateway.devices.models import Device
from gateway.kra.errors import KraError
from gateway.lanes.store import Read
from gateway.lib.clock import utc_now
from gateway.sales import statements
from gateway.sales.intake import SaleIn, invoice_row, work_out
from gateway.tenants.threads import in_thread

_log = logging.getLogger(__name__)

REBUILT = "rebuilt"  # code of the problem of a sale that was worked out anew and waits to be sent


class Rebuilding:
    """Fetches the rates in force and works sales out with them."""

    def __init__(self, desk: Desk, shelf: Shelf, read: Read) -> None:
        self._desk = desk
        self._shelf = shelf
        self._read = read

    async def rebuilt(self, invoice_id: int, seat: Seat) -> dict[str, Any] | None:
        """The new values for statements.REBUILD. None when nothing would change, or KRA gives no rates now."""
        try:
            await in_thread(seat.row["company_id"], _fetch_codes, seat.row["id"])
        except KraError:
            return None
        except Exception:  # whatever it is, KRA has refused the sale, and that stands
            _log.exception("The rates could not be fetched for a sale that KRA refused")
            return None
        environment = seat.row["environment"]
        self._shelf.forget_rates(environment)
        (stored,) = await self._read(statements.CONTENT, {"id": invoice_id})
        content = stored["content"]
        sale = msgspec.convert(
            msgspec.json.decode(content) if isinstance(content, str) else content, SaleIn, strict=False
        )
        rates = await self._shelf.rates(environment)
        items = await self._shelf.items(seat.row["company_id"], environment, [line.item_code for line in sale.lines])
        figures, wrongs = work_out(sale, items=items, rates=rates, seat=seat)
        if wrongs:
            return None
        row = invoice_row(
            sale,
            figures,
            items=items,
            rates=rates,
            seat=seat,
            client=self._desk.client(seat),
            credentials=self._desk.identity(seat),
            now=utc_now(),
        )
        if row["body"] == stored["body"]:
            return None
        return {"id": invoice_id, **{name: row[name] for name in ("figures", "body", "total", "total_tax")}}


def _fetch_codes(device_id: int) -> None:
    device = Device.objects.select_related("company", "branch", "lane").get(pk=device_id)
    fetch_reference_data(device, now=utc_now(), only=[CODES])
