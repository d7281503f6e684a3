"""Stock: movements with their own unbroken numbers, balances, transfers between branches, and compositions.

A movement adds to KRA's balance and cannot be looked up: after NoAnswer send the same bytes under the same number only,
and take Duplicate as already stored. A balance is absolute and may be repeated. Order: document, movement, balance.
"""

from datetime import datetime
from decimal import Decimal

from gateway.kra.client import Client, reading
from gateway.kra.documents import Credentials, Exchange
from gateway.kra.stock_documents import StockDocument, Transfer
from gateway.kra.wire import items, stock
from gateway.kra.wire.stock import with_stock_number

__all__ = ["list_transfers", "save_balance", "save_component", "save_movement", "stock_body", "with_stock_number"]


def stock_body(client: Client, document: StockDocument, credentials: Credentials) -> bytes:
    """The body of a movement, all but its number: the same bytes for the same document. ValueError if it cannot be."""
    return stock.stock_body(document, credentials, client.profile)


async def save_movement(client: Client, credentials: Credentials, body: bytes, number: int) -> Exchange:
    """Report a movement; `body` carries `number` already (`with_stock_number`)."""
    return (await client.call("stock_io_save", credentials, body, number=number))[1]


async def save_balance(
    client: Client,
    credentials: Credentials,
    *,
    item_code: str,
    remaining: Decimal,
    operator_id: str = "revpay",
    operator_name: str = "Revpay Connect",
) -> Exchange:
    """Report how much of an item the branch has left. Drift with `balance` when KRA counts another quantity."""
    body = stock.balance_body(item_code, remaining, credentials, client.profile, operator_id, operator_name)
    return (await client.call("stock_master_save", credentials, body))[1]


async def list_transfers(
    client: Client, credentials: Credentials, changed_since: datetime | None = None
) -> tuple[list[Transfer], datetime | None, Exchange]:
    """Movements that other branches sent here; no ledger and no balance. Amounts as received."""
    reply, exchange = await client.look_up("stock_move_list", credentials, changed_since)
    with reading(exchange):
        return [] if reply.is_empty else stock.read_transfers(reply.data), reply.server_time, exchange


async def save_component(
    client: Client,
    credentials: Credentials,
    *,
    item_code: str,
    component_code: str,
    quantity: Decimal,
    operator_id: str = "revpay",
    operator_name: str = "Revpay Connect",
) -> Exchange:
    """Say that an item is made with so much of another; one call for each component, not readable afterwards."""
    body = items.component_body(
        item_code, component_code, quantity, credentials, client.profile, operator_id, operator_name
    )
    return (await client.call("item_composition_save", credentials, body))[1]
