"""Field checks, compiled once from the field tables into closures.

A check takes a value and gives back nothing or what is wrong with it. What is missing, too long, of the wrong type
or not
a date is 910 with the field path; a value outside its code class is 913 (OSCU/VSCU spec v2.0 §4.18 and live messages).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import cache
from typing import Any, Final, NamedTuple

from gateway.simulator.answers import Refusal
from gateway.simulator.clock import is_day, parse14
from gateway.simulator.tables import codes_of, operations

PIN: Final = re.compile(r"[A-Z]\d{9}[A-Z]")
MAX_LINES: Final = 999  # itemSeq has three digits
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_UP)

_IDENTITY: Final = frozenset(("tin", "bhfId", "cmcKey"))
_UNITS: Final = frozenset(("pkgUnitCd", "qtyUnitCd"))
_MAY_BE_NEGATIVE: Final = frozenset(("rsdQty",))
_MUST_BE_POSITIVE: Final = frozenset(("qty", "cpstQty", "invcNo", "sarNo", "itemSeq"))
_PINS: Final = frozenset(("custTin", "spplrTin", "custmTin"))


class Problem(NamedTuple):
    """What is wrong with one value."""

    code: str
    reason: str
    wrong_type: bool = False


class Located(NamedTuple):
    """A problem and where it is: the field path, and the line of a list, counted from 1 (0 = not in a list)."""

    problem: Problem
    path: tuple[str, ...]
    line: int = 0


Check = Callable[[Any], "Problem | None"]
Table = Callable[[dict[str, Any]], "Located | None"]

EMPTY: Final = Problem("910", "may not be empty")
NOT_TEXT: Final = Problem("910", "must be text", wrong_type=True)
NOT_NUMBER: Final = Problem("910", "must be a number", wrong_type=True)
NOT_OBJECT: Final = Problem("910", "must be an object", wrong_type=True)
NOT_LIST: Final = Problem("910", "must be a list", wrong_type=True)
NEGATIVE: Final = Problem("910", "must not be negative")
NOT_POSITIVE: Final = Problem("910", "must be greater than 0")
NOT_IN_CLASS: Final = Problem("913", "")


@cache
def document_check(operation: str, flavour: str) -> Callable[[dict[str, Any]], None]:
    """The check of a whole request body. It raises Refusal for the first field that is wrong, in table order."""
    # The identity is settled before the fields are looked at (header or body, see the doors), but for the first call.
    fields = operations()[operation].fields
    if operation != "device_init":
        fields = tuple(row for row in fields if row["name"] not in _IDENTITY)
    if flavour == "vscu" and operation == "item_save":
        # The jar takes any unit here; a sale with a wrong one is then refused with 913.
        fields = tuple(row if row["name"] not in _UNITS else _without_class(row) for row in fields)
    table = _table(fields, flavour)

    def check(document: dict[str, Any]) -> None:
        found = table(document)
        if found is not None:
            problem, path, line = found
            raise Refusal(problem.code, problem.reason, path=path, wrong_type=problem.wrong_type, line=line)

    return check


@cache
def number_reader(operation: str) -> Callable[[dict[str, Any]], None]:
    """Turns numbers that were sent as text into numbers, in place: what a lenient host lets through."""
    return _reader(operations()[operation].fields)


def _without_class(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "code_class"}


def _table(fields: Iterable[dict[str, Any]], flavour: str) -> Table:
    simple: list[tuple[str, Check]] = []
    nested: list[tuple[str, Callable[[Any], Located | None]]] = []
    for row in fields:
        name = row["name"]
        if row["type"] == "OBJECT":
            nested.append((name, _object(row, _table(row["fields"], flavour))))
        elif row["type"] == "LIST":
            nested.append((name, _list(row, _table(row["fields"], flavour))))
        else:
            simple.append((name, _scalar(row, flavour)))
    plain, deep = tuple(simple), tuple(nested)
    fits = _glance([row for row in fields if row["type"] not in ("OBJECT", "LIST")], flavour)

    def check(document: dict[str, Any]) -> Located | None:
        value_of = document.get
        if not fits(value_of):
            for name, check_value in plain:
                problem = check_value(value_of(name))
                if problem is not None:
                    return Located(problem, (name,))
        for name, check_part in deep:
            found = check_part(value_of(name))
            if found is not None:
                return Located(found.problem, (name, *found.path), found.line)
        return None

    return check


def _glance(rows: Iterable[dict[str, Any]], flavour: str) -> Callable[[Callable[[str], Any]], bool]:
    """One look over the plain fields of a document; True only when each passes its own check.

    A busy server spends most of its time on these, and nearly all documents are right. When in doubt it says False, and
    the checks one by one decide, in the order of the table.
    """
    numbers: list[tuple[str, bool, int, int, Decimal]] = []
    texts: list[tuple[str, bool, int]] = []
    others: list[tuple[str, Check]] = []
    for row in rows:
        name, required = row["name"], _is_required(row, flavour)
        if row["type"] == "NUMBER":
            least = 1 if name in _MUST_BE_POSITIVE else 0
            unit = Decimal(1).scaleb(-row["scale"])
            numbers.append((name, required, least, 10 ** (row["precision"] - row["scale"]), unit))
        elif not _has_shape(row):
            texts.append((name, required, row["max_length"]))
        else:
            others.append((name, _scalar(row, flavour)))
    all_numbers, all_texts, all_others, round_to = tuple(numbers), tuple(texts), tuple(others), _EXACT.quantize

    def fits(value_of: Callable[[str], Any]) -> bool:
        for name, required, least, limit, unit in all_numbers:
            value = value_of(name)
            if type(value) is int:
                if least <= value < limit:
                    continue
            elif type(value) is Decimal:
                if 0 < value < limit and round_to(value, unit) == value:
                    continue
            elif value is None and not required:
                continue
            return False
        for name, required, longest in all_texts:
            value = value_of(name)
            if type(value) is str:
                if value and len(value) <= longest and not value.isspace():
                    continue
            elif value is None and not required:
                continue
            return False
        return all(check_value(value_of(name)) is None for name, check_value in all_others)

    return fits


def _has_shape(row: dict[str, Any]) -> bool:
    """Whether a text is a code, a date or a PIN."""
    is_date = row.get("format", "") in ("yyyyMMddHHmmss", "yyyyMMdd")
    return "code_class" in row or "enum" in row or is_date or row["name"] in _PINS


def _is_required(row: dict[str, Any], flavour: str) -> bool:
    where, required = row.get("where", ""), bool(row["required"])
    if where == "OSCU":
        return required and flavour != "vscu"
    return required and (flavour == "vscu" or not where.startswith("VSCU"))


def _object(row: dict[str, Any], inside: Table) -> Callable[[Any], Located | None]:
    required = row["required"]

    def check(value: Any) -> Located | None:
        if value is None:
            return Located(EMPTY, ()) if required else None
        return inside(value) if type(value) is dict else Located(NOT_OBJECT, ())

    return check


def _list(row: dict[str, Any], inside: Table) -> Callable[[Any], Located | None]:
    required = row["required"]
    too_many = Problem("910", f"must not have more than {MAX_LINES} rows")

    def check(value: Any) -> Located | None:
        if not value and (value is None or type(value) is list):
            return Located(EMPTY, ()) if required else None
        if type(value) is not list:
            return Located(NOT_LIST, ())
        if len(value) > MAX_LINES:
            return Located(too_many, ())
        for index, line in enumerate(value, 1):
            if type(line) is not dict:
                return Located(NOT_OBJECT, (), index)
            found = inside(line)
            if found is not None:
                return Located(found.problem, found.path, index)
        return None

    return check


def _scalar(row: dict[str, Any], flavour: str) -> Check:
    required = _is_required(row, flavour)
    if row["type"] == "NUMBER":
        return _number(row["name"], required, row["precision"], row["scale"])
    if "code_class" in row:
        return _choice(required, codes_of(row["code_class"]), NOT_IN_CLASS)
    if "enum" in row:
        return _choice(required, frozenset(row["enum"]), Problem("913", "must be one of " + ", ".join(row["enum"])))
    form = row.get("format", "")
    if form == "yyyyMMddHHmmss":
        return _shaped(required, _is_stamp, Problem("910", "must be a date and time written yyyyMMddHHmmss"))
    if form == "yyyyMMdd":
        return _shaped(required, is_day, Problem("910", "must be a date written yyyyMMdd"))
    if row["name"] in _PINS:
        return _shaped(required, _is_pin, Problem("910", "must be a PIN: a letter, nine digits, a letter"))
    return _text(required, row["max_length"])


def _text(required: bool, longest: int) -> Check:
    too_long = Problem("910", f"must not be longer than {longest} characters")

    def check(value: Any) -> Problem | None:
        if value is None or value == "":
            return EMPTY if required else None
        if type(value) is not str:
            return NOT_TEXT
        if len(value) > longest:
            return too_long
        return EMPTY if required and value.isspace() else None

    return check


def _choice(required: bool, codes: frozenset[str], wrong: Problem) -> Check:
    def check(value: Any) -> Problem | None:
        if value is None or value == "":
            return EMPTY if required else None
        if type(value) is not str:
            return NOT_TEXT
        return None if value in codes else wrong

    return check


def _shaped(required: bool, fits: Callable[[str], bool], wrong: Problem) -> Check:
    seen: set[str] = set()  # times repeat within a request and from one to the next

    def check(value: Any) -> Problem | None:
        if value is None or value == "":
            return EMPTY if required else None
        if type(value) is not str:
            return NOT_TEXT
        if value in seen:
            return None
        if not fits(value):
            return wrong
        if len(seen) > 1000:
            seen.clear()
        seen.add(value)
        return None

    return check


def _number(name: str, required: bool, precision: int, scale: int) -> Check:
    limit = 10 ** (precision - scale)
    unit = Decimal(1).scaleb(-scale)
    too_big = Problem("910", f"must not have more than {precision - scale} digits before the point")
    too_fine = Problem("910", f"must not have more than {scale} decimals" if scale else "must be a whole number")
    signed, positive = name in _MAY_BE_NEGATIVE, name in _MUST_BE_POSITIVE
    round_to = _EXACT.quantize

    def check(value: Any) -> Problem | None:
        kind = type(value)
        if kind is not int:
            if value is None:
                return EMPTY if required else None
            if kind is not Decimal:
                return NOT_NUMBER
            if not -limit < value < limit:
                return too_big
            if round_to(value, unit) != value:
                return too_fine
        elif not -limit < value < limit:
            return too_big
        if value <= 0:
            if positive:
                return NOT_POSITIVE
            if value < 0 and not signed:
                return NEGATIVE
        return None

    return check


def _reader(fields: Iterable[dict[str, Any]]) -> Callable[[dict[str, Any]], None]:
    numbers, parts = [], []
    for row in fields:
        if row["type"] == "NUMBER":
            numbers.append(row["name"])
        elif row["type"] in ("OBJECT", "LIST"):
            parts.append((row["name"], _reader(row["fields"])))

    def read(document: dict[str, Any]) -> None:
        for name in numbers:
            value = document.get(name)
            if type(value) is str:
                document[name] = _number_in(value)
        for name, read_part in parts:
            value = document.get(name)
            for part in value if type(value) is list else (value,):
                if type(part) is dict:
                    read_part(part)

    return read


def _number_in(text: str) -> Any:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > 40:
        return text
    return int(number) if number == number.to_integral_value() else number


def _is_stamp(text: str) -> bool:
    try:
        parse14(text)
    except ValueError:
        return False
    return True


def _is_pin(text: str) -> bool:
    return PIN.fullmatch(text) is not None
