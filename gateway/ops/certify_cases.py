"""KRA's 23 test cases and the credit note, in the order in which they depend on each other.

A case passes with 000; a look-up also with 001 (nothing found), but for the list of imported items. A case that needs
something of an earlier one that failed is `not run`.
"""

from decimal import Decimal
from typing import Any

from gateway.kra.calls import branches, purchases, stock
from gateway.kra.client import Client
from gateway.kra.codes import CreditNoteReason, ImportStatus, PaymentMethod, Registration, StockReason, TaxClass
from gateway.kra.documents import Exchange, SaleDocument
from gateway.kra.errors import Drift, KraError, plain
from gateway.kra.operations import path_of
from gateway.kra.stock_documents import (
    ImportDecision,
    ListedLine,
    PurchaseDocument,
    PurchaseLine,
    StockDocument,
    StockLine,
    SupplierSale,
)
from gateway.kra.tax import Figures, LineIn, figures
from gateway.lib.clock import NAIROBI, from_stamp
from gateway.ops import certify_shop as shop
from gateway.ops.certify_run import Case, Failed, NotRun, Result, Run, Status, numbered, signed
from gateway.sales.intake import tag_of

# 1 to 5: the device and KRA's lists


async def initialise(run: Run) -> None:
    run.activation = await run.activate(run)
    run.note(f"Control unit {run.activation.control_unit_id or '(named with the first receipt)'}.")


async def list_codes(run: Run) -> None:
    classes = await run.listed(Client.code_list)
    for group in classes:
        if group.number == "04":
            for row in group.codes:
                if row.code in set(TaxClass) and row.custom_values[0]:
                    run.rates[TaxClass(row.code)] = Decimal(row.custom_values[0])
    told = ", ".join(f"{letter} {run.rates[letter]:f} %" for letter in TaxClass)
    run.note(f"{len(classes)} code classes. Tax rates: {told}.")


async def list_classes(run: Run) -> None:
    rows = await run.listed(Client.item_classes)
    run.classes = {row.code: row for row in rows}
    run.note(f"{len(rows)} item classes.")


async def list_branches(run: Run) -> None:
    rows = await run.listed(branches.list_branches)
    run.note(f"{len(rows)} branches: {', '.join(row.code for row in rows)}.")


async def list_notices(run: Run) -> None:
    run.note(f"{len(await run.listed(branches.list_notices))} notices.")


# 6 to 11: what the branch keeps at KRA, and its items


async def save_customer(run: Run) -> None:
    run.keep(await branches.save_customer(run.client, run.credentials, shop.customer(*run.buyer)))


async def save_user(run: Run) -> None:
    run.keep(await branches.save_user(run.client, run.credentials, shop.USER))


async def save_insurance(run: Run) -> None:
    run.keep(await branches.save_insurance(run.client, run.credentials, shop.INSURANCE))


async def save_items(run: Run) -> None:
    numbers = run.key_file.numbers
    numbers.item = max(numbers.item, await _next_serial(run))  # a known code would be updated, not made
    for article in shop.ARTICLES:
        item_class = shop.chosen_class(article, run.classes)
        run.class_of[article.key] = item_class
        document = shop.item(article, item_class)
        body = run.client.item_body(document, run.credentials)
        serial = numbers.item
        try:
            exchange = await run.client.save_item(run.credentials, run.client.item_with_number(body, serial))
        except Drift as error:
            run.keep(error.exchange)
            serial = await _next_serial(run)
            run.note(f"KRA counts items otherwise: went on with serial {serial}.")
            exchange = await run.client.save_item(run.credentials, run.client.item_with_number(body, serial))
        run.keep(exchange)
        run.codes[article.key] = run.client.item_code(document, serial)
        numbers.item = serial + 1
        run.key_file.save()
        run.note(f"{run.codes[article.key]} is {article.name}, tax letter {article.tax_class}, class {item_class}.")


async def _next_serial(run: Run) -> int:
    """One more than the highest serial among the items that KRA lists of this taxpayer. No part of the evidence."""
    rows, _, _ = await run.client.list_items(run.credentials)
    serials = [int(row.code[-7:]) for row in rows if row.code[-7:].isascii() and row.code[-7:].isdigit()]
    return max(serials, default=0) + 1


async def list_items(run: Run) -> None:
    found = {row.code for row in await run.listed(Client.list_items)}
    if missing := set(run.codes.values()) - found:
        raise Failed(f"KRA does not list {', '.join(sorted(missing))}")
    run.note(f"{len(found)} items, ours among them.")


async def save_composition(run: Run) -> None:
    for component, quantity in (("sugar", Decimal(1)), ("flour", Decimal(1))):
        run.keep(
            await stock.save_component(
                run.client,
                run.credentials,
                item_code=run.code("hamper"),
                component_code=run.code(component),
                quantity=quantity,
            )
        )


# 17 to 19: stock


async def save_stock(run: Run) -> None:
    goods = [article for article in shop.ARTICLES if not article.is_service]
    basket = [(article.key, shop.OPENING_STOCK) for article in goods]
    amounts = shop.figures_of(basket, run.rates, run.client.profile)
    document = StockDocument(
        reason=StockReason.ADJUSTMENT_IN,
        occurred_on=run.now().astimezone(NAIROBI).date(),
        remark="Opening stock",
        operator_name=shop.CASHIER,
        lines=[
            StockLine(
                item_code=run.code(article.key),
                item_class=run.class_of[article.key],
                name=article.name,
                packaging_unit=article.packaging_unit,
                quantity_unit=article.quantity_unit,
                quantity=shop.OPENING_STOCK,
                tax_class=article.tax_class,
                figures=row,
            )
            for article, row in zip(goods, amounts.lines, strict=True)
        ],
    )
    body = stock.stock_body(run.client, document, run.credentials)

    async def send(number: int) -> Exchange:
        numbered = stock.with_stock_number(body, number)
        return await stock.save_movement(run.client, run.credentials, numbered, number)

    await numbered(run, "stock", send)
    run.stocked = dict(basket)
    run.note(f"{shop.OPENING_STOCK:f} of each of {len(goods)} goods.")


async def save_balances(run: Run) -> None:
    if not run.stocked:
        raise NotRun("needs test case 19")
    for key, remaining in run.stocked.items():
        run.keep(await stock.save_balance(run.client, run.credentials, item_code=run.code(key), remaining=remaining))


async def list_transfers(run: Run) -> None:
    run.note(f"{len(await run.listed(stock.list_transfers))} transfers from other branches.")


# 12, 13: imports


async def list_imports(run: Run) -> None:
    run.imports = await run.listed(purchases.list_imports)
    run.note(f"{len(run.imports)} imported lines.")


async def update_import(run: Run) -> None:
    waiting = [row for row in run.imports if row.status == ImportStatus.WAITING] or run.imports
    if not waiting:
        raise NotRun("needs an imported line from test case 12")
    line = waiting[0]
    decision = ImportDecision(
        task_code=line.task_code,
        declaration_date=line.declaration_date,
        line_number=line.line_number,
        hs_code=line.hs_code,
        item_code=run.code("hamper"),
        item_class=run.class_of["hamper"],
        status=ImportStatus.APPROVED,
        remark="Received in full",
        operator_name=shop.CASHIER,
    )
    run.keep(await purchases.decide_import(run.client, run.credentials, decision))
    run.note(f"Declaration {line.declaration_number}, line {line.line_number} ({line.name}) approved.")


# 14, 20, 21 and the credit note: sales


async def save_sale(run: Run) -> None:
    run.sale = await _sign(
        run,
        shop.SOLD_TO_BUYER,
        reference=shop.reference("INV", run.started, 1),
        payment_method=PaymentMethod.MOBILE_MONEY,
        buyer_pin=run.buyer[0],
        buyer_name=run.buyer[1],
    )
    run.walk_in = await _sign(run, shop.SOLD_TO_WALK_IN, reference=shop.reference("INV", run.started, 2))


async def look_up_invoice(run: Run) -> None:
    if run.sale is None:
        raise NotRun("needs test case 14")
    found, exchange = await run.client.find_invoice(run.credentials, run.sale.number)
    run.keep(exchange)
    if found is None:
        raise Failed(f"KRA does not find invoice {run.sale.number}, which it has signed")
    if (found.tag, found.signature.signature) != (run.sale.document.tag, run.sale.signature.signature):
        raise Failed(f"KRA holds another document under number {run.sale.number}")
    run.note(f"Invoice {run.sale.number} with the signature of its receipt.")


async def list_sales(run: Run) -> None:
    run.note(f"{len(await run.listed(Client.list_sales))} sales and credit notes.")


async def save_credit_note(run: Run) -> None:
    if run.sale is None:
        raise NotRun("needs test case 14")
    run.credit_note = await _sign(
        run,
        shop.CREDITED,
        reference=shop.reference("CN", run.started, 1),
        kind="credit_note",
        payment_method=PaymentMethod.MOBILE_MONEY,
        buyer_pin=run.sale.document.buyer_pin,
        buyer_name=run.sale.document.buyer_name,
        original_number=run.sale.number,
        reason=CreditNoteReason.REFUND,
        credited_at=run.now(),
    )
    run.note(f"Credits a part of invoice {run.sale.number}.")


async def _sign(run: Run, basket: shop.Basket, **more: Any) -> shop.Sold:
    for key, _ in basket:
        run.code(key)
    amounts = shop.figures_of(basket, run.rates, run.client.profile)
    content = ",".join(f"{key}*{quantity}" for key, quantity in basket)
    tag = tag_of(environment="sandbox", pin=run.pin, branch=run.branch, reference=more["reference"], content=content)
    document = SaleDocument(
        **{
            "kind": "sale",
            "issued_at": run.now(),
            "lines": shop.sale_lines(basket, amounts, run.codes, run.class_of),
            "figures": amounts,
            "rates": run.rates,
            "tag": tag,
            "operator_id": shop.USER.user_id,
            "operator_name": shop.CASHIER,
            **more,
        }
    )
    number, signature = await signed(run, document)
    run.note(f"{document.reference} is number {number}, receipt {signature.receipt_number}.")
    return shop.Sold(basket, document, number, signature)


# 15, 16: purchases


async def list_supplier_sales(run: Run) -> None:
    run.supplier_sales = await run.listed(purchases.list_supplier_sales)
    run.note(f"{len(run.supplier_sales)} invoices of suppliers.")


async def save_purchase(run: Run) -> None:
    document = next(filter(None, (_confirmation(run, sale) for sale in run.supplier_sales)), None)
    if document is None:
        document = _declaration(run)
        run.note("No listed invoice could be confirmed; a purchase was declared by hand.")
    else:
        run.note(f"Invoice {document.supplier_invoice_number} of {document.supplier_name} confirmed.")
    body = purchases.purchase_body(run.client.profile, document, run.credentials)

    async def send(number: int) -> Exchange:
        return await purchases.save_purchase(run.client, run.credentials, purchases.with_number(body, number), number)

    await numbered(run, "purchase", send)


def _confirmation(run: Run, sale: SupplierSale) -> PurchaseDocument | None:
    """A listed invoice with our item for its lines; None if its amounts are not those that our arithmetic gives."""
    try:
        amounts = figures(
            [_line_in(line) for line in sale.lines],
            rates=sale.rates,
            profile=run.client.profile.amount_profile,
            prices_include_tax=True,
        )
    except ValueError:
        return None
    if amounts.total != sale.total:
        return None
    moment = sale.confirmed_at or run.now()
    return PurchaseDocument(
        purchased_on=from_stamp(sale.sale_date).astimezone(NAIROBI).date() if sale.sale_date else moment.date(),
        confirmed_at=run.now(),
        lines=[_purchase_line(run, line, amounts, place) for place, line in enumerate(sale.lines)],
        figures=amounts,
        rates=sale.rates,
        supplier_pin=sale.supplier_pin,
        supplier_name=sale.supplier_name,
        supplier_branch=sale.supplier_branch,
        supplier_invoice_number=sale.supplier_invoice_number,
        supplier_control_unit_id=sale.supplier_control_unit_id,
        warehoused_at=run.now(),
        operator_name=shop.CASHIER,
    )


def _line_in(line: ListedLine) -> LineIn:
    discount = line.discount or None
    return LineIn(line.quantity, line.unit_price, TaxClass(line.tax_class), None, discount)


def _purchase_line(run: Run, line: ListedLine, amounts: Figures, place: int) -> PurchaseLine:
    return PurchaseLine(
        item_code=run.code("sugar"),
        item_class=run.class_of["sugar"],
        name=line.name,
        packaging_unit=line.packaging_unit or "NT",
        quantity_unit=line.quantity_unit or "NO",
        quantity=line.quantity,
        packages=line.packages or Decimal(1),
        tax_class=TaxClass(line.tax_class),
        figures=amounts.lines[place],
        supplier_item_code=line.item_code,
        supplier_item_class=line.item_class,
        supplier_item_name=line.name,
    )


def _declaration(run: Run) -> PurchaseDocument:
    """A purchase from somebody without eTIMS, typed in."""
    basket = [("sugar", Decimal(50))]
    amounts = shop.figures_of(basket, run.rates, run.client.profile)
    article = shop.ARTICLE["sugar"]
    line = PurchaseLine(
        item_code=run.code("sugar"),
        item_class=run.class_of["sugar"],
        name=article.name,
        packaging_unit=article.packaging_unit,
        quantity_unit=article.quantity_unit,
        quantity=Decimal(50),
        packages=Decimal(1),
        tax_class=article.tax_class,
        figures=amounts.lines[0],
    )
    return PurchaseDocument(
        purchased_on=run.now().astimezone(NAIROBI).date(),
        confirmed_at=run.now(),
        lines=[line],
        figures=amounts,
        rates=run.rates,
        registration=Registration.MANUAL,
        warehoused_at=run.now(),
        operator_name=shop.CASHIER,
    )


# 22, 23


async def list_customers(run: Run) -> None:
    run.note(f"{len(await run.listed(branches.list_customers))} customers.")


async def taxpayer_info(run: Run) -> None:
    _, exchange = await branches.taxpayer_info(run.client, run.credentials)
    run.keep(exchange)


CASES = (
    Case("1", "Initialise the device", "01-initialise-oscu", "device_init", initialise),
    Case("2", "List of codes", "02-list-of-codes", "code_list", list_codes),
    Case("3", "Item classifications", "03-item-classifications", "item_class_list", list_classes),
    Case("4", "Branch list", "04-branch-list", "branch_list", list_branches),
    Case("5", "Notices", "05-notices", "notice_list", list_notices),
    Case("6", "Save branch customer", "06-save-branch-customer", "branch_customer_save", save_customer),
    Case("7", "Save branch user account", "07-save-branch-user", "branch_user_save", save_user),
    Case("8", "Save branch insurance", "08-save-branch-insurance", "branch_insurance_save", save_insurance),
    Case("10", "Save item", "10-save-item", "item_save", save_items),
    Case("9", "Product list", "09-product-list", "item_list", list_items),
    Case("19", "Save stock in/out", "19-save-stock-in-out", "stock_io_save", save_stock),
    Case("17", "Save stock master", "17-save-stock-master", "stock_master_save", save_balances),
    Case("18", "Look up stock movement", "18-look-up-stock-movement", "stock_move_list", list_transfers),
    Case("11", "Save item composition", "11-save-item-composition", "item_composition_save", save_composition),
    Case("12", "Imported item list", "12-imported-item-list", "import_item_list", list_imports, empty_passes=False),
    Case("13", "Update imported items", "13-update-imported-items", "import_item_update", update_import),
    Case("14", "Save sales transaction", "14-save-sales-transaction", "sales_save", save_sale),
    Case("20", "Look up invoice details", "20-look-up-invoice-details", "invoice_details", look_up_invoice),
    Case("21", "Look up sales transactions", "21-look-up-sales-transactions", "sales_list", list_sales),
    Case("15", "Look up purchases-sales list", "15-look-up-purchases", "purchase_sales_list", list_supplier_sales),
    Case("16", "Save purchases", "16-save-purchases", "purchase_save", save_purchase),
    Case("22", "Customer list", "22-customer-list", "branch_customer_list", list_customers),
    Case("23", "Taxpayer information", "23-taxpayer-information", "taxpayer_info", taxpayer_info),
    Case("+", "Credit note", "24-credit-note", "sales_save", save_credit_note),
)


async def play(run: Run, case: Case) -> Result:
    """Run one case; whatever goes wrong with it stands in its result."""
    result = run.result = Result(case)
    if path_of(case.operation, run.client.profile) is None:
        result.status = Status.NOT_OFFERED
        result.message = f"{run.client.profile.flavour} has no such call"
        return result
    try:
        await case.play(run)
    except NotRun as reason:
        result.message = str(reason)
        return result
    except Failed as reason:
        result.status, result.message = Status.FAILED, str(reason)
    except KraError as error:
        result.status, result.code, result.message = Status.FAILED, error.code, error.message
        run.keep(error.exchange)
        result.notes.append(plain(error))
        return result
    except ValueError as error:
        result.status, result.message = Status.FAILED, f"KRA could not be given this: {error}"
        return result
    if not result.exchanges:  # a key that was entered by hand: nothing was said
        result.status = Status.PASSED
        return result
    last = result.exchanges[-1]
    result.code = result.code or last.code
    if result.status is not Status.FAILED:
        is_empty = last.outcome == "empty"
        result.status = Status.FAILED if is_empty and not case.empty_passes else Status.PASSED
        result.message = "nothing found" if is_empty else last.message
    return result
