"""The small types of which request bodies are made. What they refuse, they refuse in words a shopkeeper understands."""

import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, get_args

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]{1,150}(:[0-9]{1,5})?(/[!-~]*)?", re.ASCII)
_PIN = re.compile(r"[A-Z]\d{9}[A-Z]", re.ASCII)
_MOST_GOODS = Decimal(10) ** 11
_MOST_SHILLINGS = Decimal("9999999999999.99")  # SQLite gives back 15 digits of a decimal


class Body(Schema):
    """A request body. A field that we do not know is an error, so that a misspelt one is not silently left out."""

    model_config = ConfigDict(extra="forbid")


def fields_beside(location: tuple[str | int, ...]) -> set[str]:
    """The names that a field may have at this place of a body, `("body", "body", "items", 3, "prise")`."""
    above = [step for step in location[2:-1] if isinstance(step, str)]
    nested = {
        (name, model)
        for outer in Body.__subclasses__()
        for name, info in outer.model_fields.items()
        for model in _bodies_in(info.annotation)
    }
    if above:
        models = {model for name, model in nested if name == above[-1]}
    else:
        models = set(Body.__subclasses__()) - {model for _, model in nested}
    return {name for model in models for name in model.model_fields}


def _bodies_in(annotation: Any) -> set[type[Body]]:
    if isinstance(annotation, type) and issubclass(annotation, Body):
        return {annotation}
    return {model for part in get_args(annotation) for model in _bodies_in(part)}


def plain_line(text: str) -> str:
    """The text itself; refuses what would break a line, a receipt or a database column."""
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text):
        raise PydanticCustomError("not_printable", "Must be one line without control characters.")
    return text


def _pin(text: str) -> str:
    text = text.upper()
    if not _PIN.fullmatch(text):
        raise PydanticCustomError("bad_pin", "A KRA PIN is a letter, nine digits and a letter, such as P051234567X.")
    return text


def _email(text: str) -> str:
    name, at, host = text.rpartition("@")
    if text and (not name or not at or "." not in host or any(letter.isspace() for letter in text)):
        raise PydanticCustomError("bad_email", "This is no e-mail address.")
    return text


def _address(text: str) -> str:
    if text and not _WEB_ADDRESS.fullmatch(text):
        raise PydanticCustomError("bad_address", "Must be an address such as http://192.168.1.20:8088.")
    return text


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise PydanticCustomError("not_a_time", "Must be a moment such as 2026-12-31T18:00:00+03:00.") from None
    if moment.tzinfo is None:
        raise PydanticCustomError("no_time_zone", "Add the time zone, such as +03:00 for Kenya.")
    if not 2000 <= moment.year <= 2100:
        raise PydanticCustomError("not_a_time", "Must lie between the years 2000 and 2100.")
    return moment


def _not_a_number() -> PydanticCustomError:
    return PydanticCustomError("not_a_number", "Give a number with a point, such as 650.00; no comma, no letters.")


def _amount(value: Any) -> Decimal:
    """Text or a JSON number; JSON numbers come as int or Decimal, never through a float."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise _not_a_number()
    try:
        amount = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        raise _not_a_number() from None
    if not amount.is_finite():
        raise _not_a_number()
    if amount < 0:
        raise PydanticCustomError("negative", "Must not be negative.")
    if amount > _MOST_SHILLINGS:
        raise PydanticCustomError("amount_too_large", "An amount has at most 13 digits before the decimal point.")
    if amount != amount.quantize(Decimal("0.01")):
        raise PydanticCustomError("too_many_decimals", "An amount has at most two decimal places.")
    return amount.quantize(Decimal("0.01"))


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise _not_a_number()
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        raise _not_a_number() from None
    if not number.is_finite():
        raise _not_a_number()
    if abs(number) >= _MOST_GOODS:
        raise PydanticCustomError("too_large", "A quantity has at most 11 digits before the decimal point.")
    if number != number.quantize(Decimal("0.001")):
        raise PydanticCustomError("too_many_decimals", "A quantity has at most three decimal places.")
    return number


def _difference(value: Any) -> Decimal:
    return _number(value)


def _quantity(value: Any) -> Decimal:
    number = _number(value)
    if number <= 0:
        raise PydanticCustomError("not_positive", "Must be above zero.")
    return number


def _day(value: Any) -> date:
    try:
        day = date.fromisoformat(value)
    except (TypeError, ValueError):
        raise PydanticCustomError("not_a_day", "Must be a day such as 2026-11-20.") from None
    if day.year not in range(2000, 2101):
        raise PydanticCustomError("not_a_day", "Must lie between the years 2000 and 2100.")
    return day


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(plain_line)
]
ShortName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=60), AfterValidator(plain_line)]
RequiredShortName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60), AfterValidator(plain_line)
]
Address = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(plain_line)]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), AfterValidator(plain_line)]
Email = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(plain_line), AfterValidator(_email)
]
RequiredEmail = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=254),
    AfterValidator(plain_line),
    AfterValidator(_email),
]
PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(plain_line)
]
Pin = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(_pin),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z][0-9]{9}[A-Za-z]$", "examples": ["P051234567X"]}),
]
BranchCode = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9]{2}$")]
Serial = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(plain_line)
]
ItemCode = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50), AfterValidator(plain_line)
]
ClassCode = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10), AfterValidator(plain_line)
]
UnitCode = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, min_length=1, max_length=5),
    AfterValidator(plain_line),
]
CountryCode = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z]{2}$")]
TaxLetter = Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, max_length=1)]
Barcode = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), AfterValidator(plain_line)]
KraItemCode = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), AfterValidator(plain_line)]
Amount = Annotated[
    Decimal,
    BeforeValidator(_amount),
    WithJsonSchema(
        {
            "description": "KES with at most two decimals, as a number or as text.",
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^[0-9]{1,13}(\.[0-9]{1,2})?$"}],
        }
    ),
]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), AfterValidator(plain_line)]
PlanName = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[a-z0-9_-]{1,40}$")]
Message = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), AfterValidator(plain_line)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-12-31T18:00:00+03:00"]}),
]
Quantity = Annotated[
    Decimal,
    BeforeValidator(_quantity),
    WithJsonSchema(
        {
            "description": "Above zero, with at most three decimals, as a number or as text.",
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^[0-9]{1,11}(\.[0-9]{1,3})?$"},
            ],
        }
    ),
]
Difference = Annotated[
    Decimal,
    BeforeValidator(_difference),
    WithJsonSchema(
        {
            "description": "A quantity above or below zero, with at most three decimals.",
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?[0-9]{1,11}(\.[0-9]{1,3})?$"}],
        }
    ),
]
Reference = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50), AfterValidator(plain_line)
]
Remark = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), AfterValidator(plain_line)]
Day = Annotated[
    date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-20"]})
]
WebAddress = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_address)]
EnvironmentName = Literal["sandbox", "production"]
