"""Branches, notices, taxpayers, and the customers, users and insurers that a branch keeps at KRA.

Every look-up returns its rows, KRA's clock (the next `changed_since`) and the exchange; nothing found is an empty list.
The saves may be repeated with the same content. Errors: the family of `gateway.kra.errors`.
"""

from datetime import datetime

from gateway.kra.branch_documents import (
    Branch,
    BranchCustomer,
    BranchUser,
    Insurance,
    Notice,
    Taxpayer,
    TaxpayerInfo,
)
from gateway.kra.client import Client, reading
from gateway.kra.documents import Credentials, Exchange
from gateway.kra.wire import branches


async def find_taxpayer(client: Client, credentials: Credentials, pin: str) -> tuple[Taxpayer | None, Exchange]:
    """Who a PIN belongs to; None if KRA does not know it."""
    reply, exchange = await client.call("customer_pin_lookup", credentials, client.body(credentials, {"custmTin": pin}))
    with reading(exchange):
        rows = [] if reply.is_empty else branches.read_taxpayers(reply.data)
        return next((row for row in rows if row.pin == pin), None), exchange


async def taxpayer_info(client: Client, credentials: Credentials) -> tuple[TaxpayerInfo | None, Exchange]:
    """Our own VAT type. Not offered by VSCU."""
    reply, exchange = await client.look_up("taxpayer_info", credentials, None)
    with reading(exchange):
        return None if reply.is_empty else branches.read_taxpayer_info(reply.data), exchange


async def list_branches(
    client: Client, credentials: Credentials, changed_since: datetime | None = None
) -> tuple[list[Branch], datetime | None, Exchange]:
    reply, exchange = await client.look_up("branch_list", credentials, changed_since)
    with reading(exchange):
        return [] if reply.is_empty else branches.read_branches(reply.data), reply.server_time, exchange


async def list_notices(
    client: Client, credentials: Credentials, changed_since: datetime | None = None
) -> tuple[list[Notice], datetime | None, Exchange]:
    reply, exchange = await client.look_up("notice_list", credentials, changed_since)
    with reading(exchange):
        return [] if reply.is_empty else branches.read_notices(reply.data), reply.server_time, exchange


async def list_customers(
    client: Client, credentials: Credentials, changed_since: datetime | None = None
) -> tuple[list[BranchCustomer], datetime | None, Exchange]:
    """The customers that this branch has saved. Not offered by VSCU."""
    reply, exchange = await client.look_up("branch_customer_list", credentials, changed_since)
    with reading(exchange):
        return [] if reply.is_empty else branches.read_customers(reply.data), reply.server_time, exchange


async def save_customer(client: Client, credentials: Credentials, customer: BranchCustomer) -> Exchange:
    body = branches.customer_body(customer, credentials)
    return (await client.call("branch_customer_save", credentials, body))[1]


async def save_user(client: Client, credentials: Credentials, user: BranchUser) -> Exchange:
    body = branches.user_body(user, credentials)
    return (await client.call("branch_user_save", credentials, body))[1]


async def save_insurance(client: Client, credentials: Credentials, insurance: Insurance) -> Exchange:
    body = branches.insurance_body(insurance, credentials)
    return (await client.call("branch_insurance_save", credentials, body))[1]
