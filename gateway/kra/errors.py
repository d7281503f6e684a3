"""How a call to KRA can end without an answer we can use. Each class says what the caller may do next.

    KraError
    ├── NotSent         nothing left us; sending again is safe
    ├── NoAnswer        it was sent and nothing usable came back; KRA may have recorded it: look up before anything else
    ├── Refused         KRA read it and said no; its owner must look, sending it unchanged fails again
    ├── Duplicate       KRA says it has this record already; proof of nothing: look it up and compare
    ├── Drift           KRA counts differently; `expected` is the number it wants, if it said so
    ├── DeviceTrouble   device, key or gateway credentials are refused; every lane of the device must rest
    ├── Busy            KRA cannot take it now and has not recorded it; try again after `retry_after`
    └── NotOffered      this flavour of the protocol has no such call; nothing was sent

None of them ever carries a key, a token or an unmasked body: not in text, not in `exchange`.
"""

from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec

from gateway.kra.documents import Exchange

_SENTENCES = Path(__file__).parent / "data" / "sentences.json"


class KraError(Exception):
    """Base of the family. `code` is KRA's or one of ours in words; `field` is the part KRA complains about, if it said.

    `rule` names the message pattern that matched, if one did; `max_tries` how often an automatic retry may follow.
    """

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        exchange: Exchange | None = None,
        *,
        rule: str | None = None,
        max_tries: int | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.field = field
        self.exchange = exchange
        self.rule = rule
        self.max_tries = max_tries

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class NotSent(KraError):
    """Nothing left us: refused connection, no such host, failed handshake, connect time-out. Sending again is safe."""


class NoAnswer(KraError):
    """It was sent and no usable answer came: ask KRA what it has before anything else, never use a new number."""


class Refused(KraError):
    """KRA read it and said no; the number was not counted.

    `repair` names what may cure it once without its owner: `refresh_codes` (rates have changed: fetch class 04 and
    rebuild) or `fetch_item_classes` (KRA wants that look-up first, then the same body again).
    """

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        exchange: Exchange | None = None,
        *,
        rule: str | None = None,
        max_tries: int | None = None,
        repair: str | None = None,
    ) -> None:
        super().__init__(code, message, field, exchange, rule=rule, max_tries=max_tries)
        self.repair = repair


class Duplicate(KraError):
    """KRA says it holds this record. Its answer has no receipt and is no proof: look the number up and compare."""


class Drift(KraError):
    """Our counter differs from KRA's. More expected than sent may be a duplicate: look up; less: hold, never step back.

    `expected` is None when KRA did not say or said only the tail (`expected_tail`, the last digits of an item serial).
    `balance` is what KRA expected and what it found when stock, not a number, differs.
    """

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        exchange: Exchange | None = None,
        *,
        expected: int | None = None,
        expected_tail: str | None = None,
        balance: tuple[Decimal, Decimal] | None = None,
        rule: str | None = None,
        max_tries: int | None = None,
    ) -> None:
        super().__init__(code, message, field, exchange, rule=rule, max_tries=max_tries)
        self.expected = expected
        self.expected_tail = expected_tail
        self.balance = balance


class DeviceTrouble(KraError):
    """Device, key, PIN and branch, or gateway credentials are refused: hold every lane of the device, tell people."""


class Busy(KraError):
    """KRA cannot take it now and has not recorded it. `retry_after` in seconds when KRA said, else None."""

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        exchange: Exchange | None = None,
        *,
        retry_after: int | None = None,
        rule: str | None = None,
        max_tries: int | None = None,
    ) -> None:
        super().__init__(code, message, field, exchange, rule=rule, max_tries=max_tries)
        self.retry_after = retry_after


class NotOffered(KraError):
    """This flavour of the protocol has no such call. Nothing was sent and no repeat will help."""


class _Sentences(msgspec.Struct, frozen=True):
    codes: dict[str, str]
    rules: dict[str, str]
    kinds: dict[str, str]


def plain(error: KraError) -> str:
    """What happened and what to do, in a sentence that a shopkeeper understands."""
    known = _sentences()
    return known.rules.get(error.rule or "") or known.codes.get(error.code) or known.kinds[type(error).__name__]


@cache
def _sentences() -> _Sentences:
    return msgspec.json.decode(_SENTENCES.read_bytes(), type=_Sentences)
