"""One normalizer for every answer KRA's hosts, KRA's API gateway and the VSCU program can give.

Three envelopes (plain, wrapped, fault) and whatever an HTTP intermediary adds become one `Reply`, or the error that
says what the caller may do. The tables are `data/errors.json`: result codes first, then patterns, then HTTP rules.
Sources: OSCU and VSCU specifications v2.0 (result codes), what integrators observe (each row says so).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from gateway.kra.errors import Busy, DeviceTrouble, Drift, Duplicate, KraError, NoAnswer, Refused
from gateway.kra.profiles import Flavour
from gateway.kra.wire.fields import our_path
from gateway.lib.clock import from_stamp, utc_now

_DATA = Path(__file__).parent / "data" / "errors.json"
_LONGEST_MESSAGE = 500


class Reply(msgspec.Struct, frozen=True):
    """An answer that KRA meant as success. `code` is "000", or "001" when a look-up found nothing.

    `server_time` is KRA's clock and the best `changed_since` of the next look-up; `data` is what it returned, numbers
    as Decimal or int; `body` the innermost envelope, for the one answer that keeps a value beside `data`.
    """

    code: str
    message: str
    server_time: datetime | None
    data: Any
    body: dict[str, Any]

    @property
    def is_empty(self) -> bool:
        return self.code != "000"


def read_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    flavour: Flavour,
    is_write: bool,
    now: datetime | None = None,
) -> Reply:
    """What an answer means. `headers` matter for Retry-After only; `now` for Retry-After given as a date.

    For a write every answer that leaves open whether KRA recorded it raises NoAnswer, an unlisted code included; for a
    look-up the same answers raise Busy. A caller's mistake raises Refused, and so on: see `gateway.kra.errors`.
    """
    decoded = decode(body)
    envelope = _envelope(decoded)
    rule = None if status == 200 and envelope is not None else _http_rule(status, decoded, flavour)
    if envelope is not None and (rule is None or rule.id == "unreadable"):
        return _by_code(envelope, is_write)
    assert rule is not None
    text = _text(decoded)
    message = text or f"HTTP {status}"
    error = _Failure(rule.id, message[:_LONGEST_MESSAGE], rule.class_, rule.outcome_unknown)
    if rule.class_ == "transient":
        error.retry_after = _retry_after(headers, now)
    if rule.patterns:
        _refine(error, text)
    raise error.as_error(is_write)


def is_stale_token(error: KraError) -> bool:
    """Whether a refusal means that the bearer token must be renewed; the request was not processed then."""
    return isinstance(error, DeviceTrouble) and any(
        rule.id == error.code and rule.refresh_token for rule in _tables().rules
    )


def decode(body: bytes) -> Any:
    """The JSON of an answer, or None if there is none. Fractions become Decimal, a wrong encoding is Latin-1."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not body:
        return None
    try:
        return _decoder.decode(body)
    except UnicodeDecodeError:
        pass
    except _NO_JSON:
        return None
    try:
        return _decoder.decode(body.decode("latin-1").encode())
    except _NO_JSON:
        return None


_NO_JSON = (msgspec.DecodeError, InvalidOperation, RecursionError)
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class _CodeRow(msgspec.Struct, frozen=True):
    code: str
    class_: str = msgspec.field(name="class")
    outcome_unknown: bool = False
    max_automatic_retries: int | None = None
    retry_after_seconds: int | None = None


class _PatternRow(msgspec.Struct, frozen=True):
    id: str
    regex: str
    class_: str = msgspec.field(name="class")
    expected_group: int | None = None
    expected_suffix_group: int | None = None
    numbers: str | None = None
    field: str | None = None
    repair_call: str | None = None


class _HttpRow(msgspec.Struct, frozen=True):
    id: str
    class_: str = msgspec.field(name="class")
    outcome_unknown: bool
    status: tuple[int, int] = (0, 999)
    inner: tuple[int, int] | None = None
    shape: str | None = None
    text: str | None = None
    flavour: str | None = None
    refresh_token: bool = False
    patterns: bool = False


class _File(msgspec.Struct, frozen=True):
    codes: list[_CodeRow]
    message_patterns: list[_PatternRow]
    http_rules: list[_HttpRow]


class _Tables(msgspec.Struct, frozen=True):
    codes: dict[str, _CodeRow]
    patterns: list[tuple[re.Pattern[str], _PatternRow]]
    rules: list[_HttpRow]


@cache
def _tables() -> _Tables:
    file = msgspec.json.decode(_DATA.read_bytes(), type=_File)
    return _Tables(
        {row.code: row for row in file.codes},
        [(re.compile(row.regex, re.IGNORECASE | re.DOTALL), row) for row in file.message_patterns],
        file.http_rules,
    )


class _Failure:
    """What is known about an answer that is no success, until it becomes the right error."""

    __slots__ = (
        "balance",
        "class_",
        "code",
        "expected",
        "expected_tail",
        "field",
        "max_tries",
        "message",
        "repair",
        "retry_after",
        "rule",
        "unknown",
    )

    def __init__(self, code: str, message: str, class_: str, unknown: bool) -> None:
        self.code = code
        self.message = message
        self.class_ = class_
        self.unknown = unknown
        self.field: str | None = None
        self.rule: str | None = None
        self.repair: str | None = None
        self.expected: int | None = None
        self.expected_tail: str | None = None
        self.balance: tuple[Decimal, Decimal] | None = None
        self.max_tries: int | None = None
        self.retry_after: int | None = None

    def as_error(self, is_write: bool) -> KraError:
        code, message, field, rule, tries = self.code, self.message, self.field, self.rule, self.max_tries
        match self.class_:
            case "caller_error":
                return Refused(code, message, field, rule=rule, repair=self.repair)
            case "device_auth":
                return DeviceTrouble(code, message, field, rule=rule)
            case "duplicate" if is_write:
                return Duplicate(code, message, field, rule=rule)
            case "sequence_drift" if is_write:
                return Drift(
                    code,
                    message,
                    field,
                    rule=rule,
                    expected=self.expected,
                    expected_tail=self.expected_tail,
                    balance=self.balance,
                )
            case "transient" if not self.unknown:
                return Busy(code, message, field, rule=rule, max_tries=tries, retry_after=self.retry_after)
        if is_write:
            return NoAnswer(code, message, field, rule=rule, max_tries=tries)
        return Busy(code, message, field, rule=rule, max_tries=tries, retry_after=self.retry_after)


def _by_code(envelope: dict[str, Any], is_write: bool) -> Reply:
    code = _code(envelope["resultCd"])
    message = str(envelope.get("resultMsg") or "").strip()[:_LONGEST_MESSAGE]
    row = _tables().codes.get(code)
    class_ = row.class_ if row else "unknown"
    if class_ == "success" or (class_ == "empty" and not is_write):
        normal = "000" if class_ == "success" else "001"
        return Reply(normal, message, _server_time(envelope), envelope.get("data"), envelope)
    error = _Failure(code, message, class_, row.outcome_unknown if row else True)
    if row:
        error.max_tries = row.max_automatic_retries
        error.retry_after = row.retry_after_seconds
    if class_ == "caller_error":
        _refine(error, message)
    raise error.as_error(is_write)


def _refine(error: _Failure, text: str) -> None:
    """Let the text of a refusal say more: drift and trouble with the device hide behind general codes."""
    for pattern, row in _tables().patterns:
        found = pattern.search(text)
        if not found:
            continue
        error.rule = row.id
        error.class_ = row.class_
        error.repair = row.repair_call
        if error.code.startswith("wrapped_"):
            error.code = row.id
        if row.expected_group:
            error.expected = int(found[row.expected_group])
        if row.expected_suffix_group:
            error.expected_tail = found[row.expected_suffix_group]
        if row.numbers and (numbers := re.search(row.numbers, text, re.IGNORECASE | re.DOTALL)):
            error.balance = (Decimal(numbers[1]), Decimal(numbers[3]))
        if row.field:
            error.field = our_path([row.field])
        break
    if error.field is None:
        error.field = our_path(re.findall(r"<(\w+)>", text))


def _http_rule(status: int, decoded: Any, flavour: Flavour) -> _HttpRow:
    shape, text, inner = "other", "", 0
    if _envelope(decoded) is not None:
        shape = "coded"
    elif isinstance(decoded, dict):
        if decoded.get("fault") is not None:
            shape, text = "fault", _text(decoded)
        elif isinstance(header := decoded.get("responseHeader"), dict) and decoded.get("responseBody") is None:
            shape, inner = "refusal", _integer(header.get("responseCode"))
    for rule in _tables().rules:
        if not rule.status[0] <= status <= rule.status[1]:
            continue
        if rule.shape not in (None, shape) or rule.flavour not in (None, flavour):
            continue
        if rule.inner and not rule.inner[0] <= inner <= rule.inner[1]:
            continue
        if rule.text and not re.search(rule.text, text, re.IGNORECASE):
            continue
        return rule
    raise AssertionError("the last rule matches everything")


def _envelope(decoded: Any) -> dict[str, Any] | None:
    """The plain envelope, unwrapped if need be; None if the answer has none."""
    if isinstance(decoded, dict):
        if "resultCd" not in decoded and isinstance(inner := decoded.get("responseBody"), dict):
            decoded = inner
        envelope: dict[str, Any] = decoded
        if envelope.get("resultCd") not in (None, ""):
            return envelope
    return None


def _text(decoded: Any) -> str:
    """The words of a refusal that has no code: a gateway fault, or the header of a wrapped refusal."""
    if not isinstance(decoded, dict):
        return ""
    if (fault := decoded.get("fault")) is not None:
        if not isinstance(fault, dict):
            return str(fault)
        detail = fault.get("detail")
        extra = detail.get("errorcode") if isinstance(detail, dict) else detail
        return " ".join(str(part) for part in (fault.get("faultstring"), extra) if part)
    if isinstance(header := decoded.get("responseHeader"), dict):
        words = (str(header.get(name) or "").strip() for name in ("debugMessage", "customerMessage"))
        return " / ".join(dict.fromkeys(word for word in words if word))
    return ""


def _code(value: Any) -> str:
    return f"{value:03d}" if isinstance(value, int) else str(value).strip()


def _integer(value: Any) -> int:
    try:
        return int(str(value).strip())
    except ValueError:
        return 0


def _server_time(envelope: dict[str, Any]) -> datetime | None:
    try:
        return from_stamp(str(envelope.get("resultDt") or ""))
    except ValueError:
        return None


def _retry_after(headers: Mapping[str, str], now: datetime | None) -> int | None:
    """Seconds, from a number of seconds or a date (RFC 9110 §10.2.3)."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round((moment - (now or utc_now())).total_seconds()))
