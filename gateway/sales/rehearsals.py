"""Training and proforma: a sale worked out as if it were posted, shown, and kept nowhere but in the journal.

Nothing of it goes to KRA: no number, no lane, no stock. A proforma is an offer; training is for who learns the till.
"""

from collections.abc import Coroutine
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from gateway.catalog.shelf import Shelf
from gateway.devices.desk import Desk
from gateway.lanes.sqlite import to_sqlite
from gateway.lanes.store import Statement
from gateway.lib.clock import utc_now
from gateway.sales.intake import MOST_LINES, SaleIn, check, rehearsal_row, work_out
from gateway.sales.models import PrintedDocument
from gateway.sales.receipts.document import receipt_document
from gateway.sales.receipts.forms import Form, drawn
from gateway.sales.receipts.handing import Handed, handed, in_journal, logos_of_company
from gateway.sales.receipts.labels import ReceiptType
from gateway.sales.services import Caller, CompanyNotActive, Invalid, chosen_seat
from gateway.sales.unknown_items import judge_unknown, marked, shown, unknown_rows


@transaction.atomic
def rehearse(sale: SaleIn, *, type: ReceiptType, caller: Caller, wanted: Form, actor: str) -> Handed:
    """The training receipt or the proforma of a sale, and its row in the journal.

    Judged as a sale is, but for stock and for its reference, which it does not take. Raises Invalid, DeviceNotFound,
    DeviceNotReady, CompanyNotActive.
    """
    if not caller.is_active:
        raise CompanyNotActive
    row = _at_once(_row(sale, caller))
    document = receipt_document(row, type=type, language=wanted.language)
    content = drawn(document, wanted, logos_of_company(caller.company_id))
    in_journal(row, document, content, wanted, channel=PrintedDocument.Channel.API, actor=actor, invoice_id=None).save()
    return handed(content, wanted, document)


async def _row(sale: SaleIn, caller: Caller) -> dict[str, Any]:
    desk, shelf = Desk(_read), Shelf(_read)  # afresh: to wait for somebody else's reading takes an event loop
    seat = chosen_seat(await desk.of_company(caller.company_id, caller.environment, afresh=True), sale, caller, None)
    wrongs = check(sale, now=utc_now())
    if len(sale.lines) > MOST_LINES:
        raise Invalid(wrongs)
    codes = {line.item_code for line in sale.lines}
    items = await shelf.items(caller.company_id, caller.environment, codes, afresh=True)
    if settings.ITEMS_UNKNOWN == "register":  # shown as the sale would have them, and not registered
        described, amiss = unknown_rows(sale, items)
        new, more = judge_unknown(caller.environment, described) if described else ({}, [])
        items = marked({**items, **shown(new.values())}, sale)
        named = {wrong.field for wrong in wrongs}
        wrongs += [wrong for wrong in [*amiss, *more] if wrong.field not in named]
    rates = await shelf.rates(caller.environment, afresh=True)
    result, more = work_out(sale, items=items, rates=rates, seat=seat)
    if wrongs or more:
        named = {wrong.field for wrong in wrongs}
        raise Invalid(wrongs + [wrong for wrong in more if wrong.field not in named])
    return rehearsal_row(sale, result, items=items, rates=rates, seat=seat)


async def _read(statement: Statement, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The engine's statements over this thread's own connection, so that row-level security guards them too."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(statement.postgres, values)
        else:
            plain = {name: to_sqlite(value) for name, value in values.items()}
            cursor.execute(statement.sqlite[0], plain)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _at_once(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """The result of work that waits for nothing: without an event loop, in which Django refuses its database."""
    try:
        work.send(None)
    except StopIteration as done:
        result: dict[str, Any] = done.value
        return result
    raise RuntimeError("this work was to wait for nothing")
