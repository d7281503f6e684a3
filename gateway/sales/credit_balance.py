"""What of a sale is left to credit, and what a credit note takes of it, line by line. KES with 2 decimals.

KRA works out the tax of each line from its total and refuses a line that says otherwise (integrator sandbox, 2026). The
taxes of the parts of a line, each rounded, do not always add up to the tax of the whole. So a part whose tax must be a
cent more or less is written as two lines, the second one of a few cents: each is right by itself, and all credit notes
of a sale together make up the sale, tax included. What is taken never exceeds what is left, at no moment.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Context, Decimal
from typing import Any

import msgspec

from gateway.kra.codes import TaxClass
from gateway.kra.tax import AmountProfile, Figures, LineFigures

CENT = Decimal("0.01")
ZERO = Decimal("0.00")
HUNDRED = Decimal(100)
_ONE = Decimal(1)
MOST_CENTS = 500  # of a rounding line; rates of whole percents come round after at most 200 cents
MOST_OF_TWO = 60  # of each of two
MOST_ROUNDINGS = 6  # rounding lines of one part; more than one only after credit notes were refused or withdrawn
_canonical = msgspec.json.Encoder(order="sorted")
_EXACT = Context(prec=48, rounding=ROUND_HALF_UP)


class CannotTake(Exception):
    """A wish that what is left does not allow: the field of the wish, a stable code, a sentence that says what is."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Left:
    """What of a line is not credited yet."""

    quantity: Decimal
    total: Decimal
    tax: Decimal

    @property
    def is_nothing(self) -> bool:
        return not self.quantity and not self.total


@dataclass(frozen=True, slots=True)
class Wish:
    """What of one line of the sale shall be credited: a quantity, an amount, or (neither) all that is left."""

    line: int
    quantity: Decimal | None = None
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What a credit note takes of a line, and the lines that say so to KRA, the main one first.

    `quantity` is what is credited of the goods; the lines' own quantities are those that KRA is told.
    """

    line: int
    quantity: Decimal
    total: Decimal
    tax: Decimal
    lines: tuple[tuple[Decimal, LineFigures], ...]


class Balance:
    """The lines of a sale (its stored `figures`) less what its credit notes take (their `figures`)."""

    def __init__(self, figures: Mapping[str, Any], credits: Iterable[Mapping[str, Any]]) -> None:
        self._rows: dict[int, Mapping[str, Any]] = {row["line"]: row for row in figures["lines"]}
        self._profile = AmountProfile(figures["profile"])
        self._rates = {letter: Decimal(rate) for letter, rate in figures["rates"].items()}
        self.left = {
            number: Left(Decimal(row["quantity"]), Decimal(row["total"]), Decimal(row["tax"]))
            for number, row in self._rows.items()
        }
        for credit in credits:
            for part in credit["credited"]:
                before = self.left[part["line"]]
                self.left[part["line"]] = Left(
                    before.quantity - Decimal(part["quantity"]),
                    before.total - Decimal(part["total"]),
                    before.tax - Decimal(part["tax"]),
                )

    @property
    def total(self) -> Decimal:
        """All that is left to credit."""
        return sum((left.total for left in self.left.values()), ZERO)

    @property
    def tax(self) -> Decimal:
        return sum((left.tax for left in self.left.values()), ZERO)

    def by_letter(self) -> dict[str, Left]:
        """What is left of each tax letter in use."""
        sums: dict[str, Left] = {}
        for number, left in self.left.items():
            letter = self._rows[number]["tax_type"]
            known = sums.get(letter, Left(ZERO, ZERO, ZERO))
            sums[letter] = Left(known.quantity + left.quantity, known.total + left.total, known.tax + left.tax)
        return dict(sorted(sums.items()))

    def fits(self, parts: Iterable[Mapping[str, Any]]) -> bool:
        """Whether what a credit note takes (`credited` of its figures) is still there to be taken."""
        return all(
            Decimal(part[name]) <= getattr(self.left[part["line"]], name)
            for part in parts
            for name in ("quantity", "total", "tax")
        )

    def rest(self) -> list[Wish]:
        """The wish for everything that is left."""
        return [Wish(number) for number, left in self.left.items() if not left.is_nothing]

    def take(self, wish: Wish, *, quantity_decimals: int) -> Taken:
        """What a wish comes to; the balance itself is not changed. Raises CannotTake."""
        row, left = self._rows.get(wish.line), self.left.get(wish.line)
        if row is None or left is None:
            raise CannotTake("line", "unknown_line", f"The sale has no line {wish.line}; it has {len(self._rows)}.")
        if left.is_nothing:
            raise CannotTake("line", "nothing_left", f"Line {wish.line} is credited in full.")
        step = Decimal(1).scaleb(-quantity_decimals)
        quantity, total = self._wanted(wish, left, step)
        if total == left.total and quantity == Decimal(row["quantity"]) and total == Decimal(row["total"]):
            whole = stored_amounts(row)
            return Taken(wish.line, quantity, total, whole.tax, ((quantity, whole),))
        tax_of = self._tax_of(row["tax_type"])
        tax, (main, *small) = _split(left, total, tax_of, wish.line)
        main_tax = tax_of(main) if small else tax
        goods = _sent(quantity, step) if quantity else None
        lines = [self._line(row, main, main_tax, step, goods)]
        lines += [self._line(row, cents, tax_of(cents), step) for cents in small]
        return Taken(wish.line, quantity, total, tax, tuple(lines))

    def _wanted(self, wish: Wish, left: Left, step: Decimal) -> tuple[Decimal, Decimal]:
        """The quantity and the money that a wish is about."""
        if wish.amount is not None:
            if wish.amount > left.total:
                raise CannotTake("amount", "more_than_left", _says(wish.line, left))
            return Decimal(0), wish.amount
        if wish.quantity is None or wish.quantity == left.quantity:
            return left.quantity, left.total
        if wish.quantity > left.quantity:
            raise CannotTake("quantity", "more_than_left", _says(wish.line, left))
        if _EXACT.quantize(wish.quantity, step) != wish.quantity:
            message = f"KRA keeps steps of {step}; credit in such steps, or {_plain(left.quantity)}, which is left."
            raise CannotTake("quantity", "too_many_decimals", message)
        total = _cents(_EXACT.divide(_EXACT.multiply(left.total, wish.quantity), left.quantity))
        if not total and left.total:
            raise CannotTake("quantity", "rounds_to_nothing", f"So little comes to 0.00. {_says(wish.line, left)}")
        return wish.quantity, total

    def _tax_of(self, letter: str) -> "TaxOf":
        rate, is_gross = self._rates[letter], self._profile is AmountProfile.INCLUSIVE_GROSS_BASE

        def tax_of(total: Decimal) -> Decimal:
            if not rate:
                return ZERO
            if is_gross:
                return _cents(_EXACT.divide(_EXACT.multiply(total, rate), HUNDRED + rate))
            return total - _cents(_EXACT.divide(_EXACT.multiply(total, HUNDRED), HUNDRED + rate))

        return tax_of

    def _line(
        self, row: Mapping[str, Any], total: Decimal, tax: Decimal, step: Decimal, goods: Decimal | None = None
    ) -> tuple[Decimal, LineFigures]:
        """A line for KRA: its quantity, and amounts that add up as KRA wants; what is off the price is a discount.

        The price is the sale's. Only where the goods at their price do not come to what is left of them, because parts
        before were rounded down, it is as much higher as it must be. Money without `goods` is told as so many of them
        as it takes at their price, a single one at its own.
        """
        net, price = total - tax, Decimal(row["unit_price"])
        is_exclusive = self._profile is AmountProfile.EXCLUSIVE
        charged = net if is_exclusive else total
        quantity = goods or min(_sent(Decimal(row["quantity"]), step), max(_ONE, _up(charged / price, _ONE)))
        if goods is None and quantity == _ONE:
            price = charged
        product = _EXACT.multiply(quantity, price)
        supply = _cents(product)
        # A net price that was rounded is up to half a cent off per unit: that is no discount, and no higher price
        slack = quantity * CENT / 2 + CENT if is_exclusive and not Decimal(row["discount"]) else ZERO
        if abs(product - charged) <= slack:
            supply = charged
        elif supply < charged:
            price = _up(_EXACT.divide(charged, quantity), CENT)
            supply = _cents(_EXACT.multiply(quantity, price))
        discount = supply - charged
        amounts = LineFigures(
            unit_price=price,
            supply=supply,
            discount_rate=_cents(_EXACT.divide(discount * HUNDRED, supply)) if discount else ZERO,
            discount=discount,
            taxable=total if self._profile is AmountProfile.INCLUSIVE_GROSS_BASE else net,
            tax=tax,
            total=total,
            net=net,
        )
        return quantity, amounts


def mark_of(revision: int, figures: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a sale from one that was corrected, or worked out anew with other rates."""
    lines = [{**line, "kra_code": None} for line in figures["lines"]]  # a new item gets its code while the sale waits
    return {"revision": revision, "figures": hashlib.sha256(_canonical.encode({**figures, "lines": lines})).hexdigest()}


def is_as_credited(revision: int, figures: Mapping[str, Any], note: Mapping[str, Any]) -> bool:
    """Whether the sale is still the one that a note (its figures) was worked out from."""
    return bool(note["original"] == mark_of(revision, figures))


def changed(reference: str) -> str:
    """What is said of a note whose sale is no longer the one that it credits."""
    return (
        f"The sale {reference} was corrected, or worked out anew with other tax rates, since this note was posted. "
        "Look at the sale and post the credit note again under a new reference."
    )


TaxOf = Callable[[Decimal], Decimal]


def summed(lines: Sequence[tuple[TaxClass, LineFigures]]) -> Figures:
    """The figures of a document of these lines, each with its letter."""
    taxable = dict.fromkeys(TaxClass, ZERO)
    tax, net = taxable.copy(), taxable.copy()
    for letter, line in lines:
        taxable[letter] += line.taxable
        tax[letter] += line.tax
        net[letter] += line.net
    return Figures(
        lines=tuple(line for _, line in lines),
        taxable=taxable,
        tax=tax,
        net=net,
        total_taxable=sum(taxable.values(), ZERO),
        total_tax=sum(tax.values(), ZERO),
        total=sum((line.total for _, line in lines), ZERO),
    )


def _split(left: Left, total: Decimal, tax_of: TaxOf, line: int) -> tuple[Decimal, list[Decimal]]:
    """The tax of a part and the totals of its lines, such that what stays can be taken as well. Raises CannotTake.

    The part has the tax that KRA expects of it where that leaves at most a cent for the rest to round off.
    """
    if total == left.total:  # were a few cents not to be told to KRA as they are, they are the last line's
        return left.tax, _parts(total, left.tax, tax_of) or [total]
    natural = tax_of(total)
    stays = left.total - total
    for off in (0, 1, -1, 2, -2, 3, -3, 4, -4):
        tax = natural + off * CENT
        if not ZERO <= tax <= left.tax or abs(left.tax - tax - tax_of(stays)) > CENT:
            continue
        parts = _parts(total, tax, tax_of)
        if parts is not None and _parts(stays, left.tax - tax, tax_of) is not None:
            return tax, parts
    message = f"KRA rounds tax line by line, and so few cents cannot be credited by themselves. {_says(line, left)}"
    raise CannotTake("line", "cannot_be_split", message)


def _parts(total: Decimal, tax: Decimal, tax_of: TaxOf) -> list[Decimal] | None:
    """Totals that make up this total and whose taxes make up this tax, a large one and then small ones; None: none."""
    rest, small = total, list[Decimal]()
    while missing := tax - sum((tax_of(part) for part in (rest, *small)), ZERO):
        found = _a_cent_further(rest, CENT.copy_sign(missing), tax_of)
        if found is None or len(small) + len(found) > MOST_ROUNDINGS:
            return None
        small += found
        rest -= sum(found, ZERO)
    return [rest, *small]


def _a_cent_further(total: Decimal, wanted: Decimal, tax_of: TaxOf) -> list[Decimal] | None:
    """One small part, or two, that take the tax of a total a cent up or down when they are taken out of it."""
    whole = tax_of(total)
    most = min(MOST_CENTS, int(total / CENT))
    single = [cents * CENT for cents in range(1, most)]
    for part in single:
        if tax_of(total - part) + tax_of(part) - whole == wanted:
            return [part]
    for one in single[:MOST_OF_TWO]:  # a tax that is rounded up already is rounded up further by two only
        for other in single[:MOST_OF_TWO]:
            rest = total - one - other
            if rest > 0 and tax_of(rest) + tax_of(one) + tax_of(other) - whole == wanted:
                return [one, other]
    return None


def stored_amounts(row: Mapping[str, Any]) -> LineFigures:
    """The amounts of a line of stored figures."""
    return LineFigures(**{name: Decimal(row[name]) for name in LineFigures.__struct_fields__})


def _says(line: int, left: Left) -> str:
    if not left.total:
        return f"Line {line}: {_plain(left.quantity)} are left, and no money."
    goods = f" for {_plain(left.quantity)}" if left.quantity else ""
    return f"Line {line}: {left.total}{goods} is left to credit."


def _plain(quantity: Decimal) -> str:
    return format(quantity.normalize(), "f")


def _sent(quantity: Decimal, step: Decimal) -> Decimal:
    """A quantity as KRA is told it."""
    return max(_EXACT.quantize(quantity, step), step)


def _cents(amount: Decimal) -> Decimal:
    return _EXACT.quantize(amount, CENT)


def _up(number: Decimal, step: Decimal) -> Decimal:
    return number.quantize(step, rounding=ROUND_CEILING)
