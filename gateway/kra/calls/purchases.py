"""Purchases and imports. Amounts that KRA lists are kept as received. A head office does these for the whole company.

A purchase has a number of its own series, the same rules as a sale's. A confirmed one leaves the list of suppliers'
sales: that, and nothing else, settles a lost answer.
"""

from datetime import datetime

from gateway.kra.client import Client, reading
from gateway.kra.documents import Credentials, Exchange
from gateway.kra.profiles import Profile
from gateway.kra.stock_documents import ImportDecision, ImportedItem, PurchaseDocument, SupplierSale
from gateway.kra.wire import purchases
from gateway.kra.wire.sales import with_number

__all__ = [
    "decide_import",
    "list_imports",
    "list_supplier_sales",
    "purchase_body",
    "save_purchase",
    "with_number",
]


def purchase_body(profile: Profile, document: PurchaseDocument, credentials: Credentials) -> bytes:
    """The body of a purchase, all but its number: the same bytes for the same document. ValueError if it cannot be."""
    return purchases.purchase_body(document, credentials, profile)


async def save_purchase(client: Client, credentials: Credentials, body: bytes, number: int) -> Exchange:
    """Confirm or declare a purchase; `body` carries `number` already (`with_number`)."""
    return (await client.call("purchase_save", credentials, body, number=number))[1]


async def list_supplier_sales(
    client: Client, credentials: Credentials, changed_since: datetime | None = None
) -> tuple[list[SupplierSale], datetime | None, Exchange]:
    """Invoices that other taxpayers issued to this PIN and that wait for confirmation."""
    reply, exchange = await client.look_up("purchase_sales_list", credentials, changed_since)
    with reading(exchange):
        return [] if reply.is_empty else purchases.read_supplier_sales(reply.data), reply.server_time, exchange


async def list_imports(
    client: Client, credentials: Credentials, changed_since: datetime | None = None
) -> tuple[list[ImportedItem], datetime | None, Exchange]:
    """Declared lines from customs. The list lags behind decisions."""
    reply, exchange = await client.look_up("import_item_list", credentials, changed_since)
    with reading(exchange):
        return [] if reply.is_empty else purchases.read_imports(reply.data), reply.server_time, exchange


async def decide_import(client: Client, credentials: Credentials, decision: ImportDecision) -> Exchange:
    """Approve or cancel an imported line. May be repeated; books no stock."""
    body = purchases.import_body(decision, credentials)
    return (await client.call("import_item_update", credentials, body))[1]
