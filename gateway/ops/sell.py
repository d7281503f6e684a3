"""Post a file of sales, one JSON object a line, to a gateway over HTTP and say how each of them ended.

Every sale carries its own reference, so the file can be sent again at any time: what is signed already is not signed
twice. The sales of one device go out in the order of the file. No answer, HTTP 429 and 5xx are tried again with the
same reference; a wrong line is reported by its number and the rest goes on.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp

MOST_CONNECTIONS = 16
TRIES = 6  # a sale that got no answer; about 15 s in all
LONGEST_PAUSE_SECONDS = 8.0
POLL_SECONDS = 0.5
ITEMS_A_REQUEST = 100
SALES_PATH = "/api/sales/"
ITEMS_PATH = "/api/item/sync/"
STATUS_PATH = "/api/integration/transactions/{id}/status/"


class NotPossible(Exception):
    """Nothing can be sent at all; the message is one sentence for the person at the terminal."""


class End(StrEnum):
    """How a line of the file ended."""

    SIGNED = "signed"
    WAITING = "on its way"  # kept by the gateway, not signed yet
    REFUSED = "refused"  # by KRA, or withdrawn
    NOT_TAKEN = "not taken"  # never kept: not JSON, or a field is wrong
    UNANSWERED = "no answer"  # not known to be kept; send the file again


@dataclass(frozen=True, slots=True)
class Line:
    """One sale as it stands in the file; `number` counts from 1."""

    number: int
    body: bytes
    reference: str
    device: str


@dataclass(slots=True)
class Result:
    """How one line ended; `reasons` are pairs of a field (or a code, or nothing) and a sentence."""

    line: Line
    end: End
    document: Mapping[str, Any] | None = None
    replayed: bool = False
    reasons: list[tuple[str, str]] = field(default_factory=list)
    lacks_item: bool = False  # it sells something that is not registered


@dataclass(frozen=True, slots=True)
class Sums:
    """Amounts of one tax letter, KES with 2 decimals."""

    net: Decimal = Decimal("0.00")
    tax: Decimal = Decimal("0.00")
    gross: Decimal = Decimal("0.00")

    def plus(self, totals: Mapping[str, str]) -> "Sums":
        net, tax, gross = (Decimal(totals[name]) for name in ("net", "tax", "amount"))
        return Sums(self.net + net, self.tax + tax, self.gross + gross)


@dataclass(slots=True)
class Report:
    """How a file ended, line by line."""

    results: list[Result]
    seconds: float

    def ended(self, *ends: End) -> list[Result]:
        """The results that ended so, in the order of the file."""
        return sorted((one for one in self.results if one.end in ends), key=lambda one: one.line.number)

    @property
    def exit_code(self) -> int:
        """0 all signed, 1 some refused or not taken, 2 some not finished."""
        if self.ended(End.WAITING, End.UNANSWERED):
            return 2
        return 1 if self.ended(End.REFUSED, End.NOT_TAKEN) else 0

    @property
    def by_letter(self) -> dict[str, Sums]:
        """What was signed, by tax letter; what an earlier run had signed counts too."""
        sums: dict[str, Sums] = {}
        for result in self.ended(End.SIGNED):
            for letter, totals in (result.document or {})["totals"]["by_tax_type"].items():
                sums[letter] = sums.get(letter, Sums()).plus(totals)
        return dict(sorted(sums.items()))


Progress = Callable[[list[Result], int], None]


def read_lines(file: Path) -> tuple[list[Line], list[Result]]:
    """The sales of a file, and the lines that are none. Empty lines are passed over. Raises NotPossible."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise NotPossible(f"{file} cannot be read: {error.strerror}.") from error
    good: list[Line] = []
    wrong: list[Result] = []
    for number, body in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if body.strip():
            line, reason = _read_line(number, body.strip())
            if reason is None:
                good.append(line)
            else:
                wrong.append(Result(line, End.NOT_TAKEN, reasons=[reason]))
    return good, wrong


def _read_line(number: int, body: bytes) -> tuple[Line, tuple[str, str] | None]:
    try:
        sale = json.loads(body, parse_float=Decimal)
    except ValueError as error:
        return Line(number, body, "", ""), ("", f"This is no JSON: {error}.")
    if not isinstance(sale, dict):
        return Line(number, body, "", ""), ("", "A line is one sale, a JSON object in curly brackets.")
    reference = sale.get("reference")
    if not isinstance(reference, str) or not reference.strip():
        return Line(number, body, "", ""), ("reference", "Each sale has a reference of its own, as text.")
    return Line(number, body, reference, str(sale.get("device") or "")), None


async def sell(
    lines: list[Line],
    *,
    url: str,
    key: str,
    jobs: int = 1,
    wait_seconds: int = 10,
    settle_seconds: float = 60.0,
    progress: Progress = lambda results, total: None,
) -> Report:
    """Post the sales, then follow those still on their way for up to `settle_seconds`.

    `jobs` sales of a device are under way at once; with 1 they go out strictly in the order of the file. Raises
    NotPossible when nobody answers at all or the key is not accepted.
    """
    began = time.monotonic()
    async with _session(url, key) as session:
        await _health(session, url)
        shop = _Shop(session, wait_seconds, len(lines), progress)
        queues: dict[str, Iterator[Line]] = {}
        for device in dict.fromkeys(line.device for line in lines):
            queues[device] = iter([line for line in lines if line.device == device])
        async with asyncio.TaskGroup() as workers:
            for queue in queues.values():
                for _ in range(jobs):
                    workers.create_task(shop.post_all(queue))
        if shop.trouble:
            raise shop.trouble
        await shop.settle(settle_seconds)
    return Report(shop.results, time.monotonic() - began)


async def prepare(items: list[dict[str, Any]], *, url: str, key: str, wait_seconds: int = 55) -> dict[str, int]:
    """Register a catalogue at KRA through the gateway; how many items ended how. A second run changes nothing.

    Raises NotPossible when the gateway does not take an item.
    """
    summary: dict[str, int] = {}
    async with _session(url, key) as session:
        await _health(session, url)
        for start in range(0, len(items), ITEMS_A_REQUEST):
            body = {"items": items[start : start + ITEMS_A_REQUEST]}
            headers = {"Prefer": f"wait={wait_seconds}"}
            async with session.post(ITEMS_PATH, json=body, headers=headers) as answer:
                document = await _document(answer)
            if answer.status != 200:
                reasons = "; ".join(f"{name}: {sentence}" for name, sentence in _reasons(document))
                raise NotPossible(f"The gateway did not take the items (HTTP {answer.status}). {reasons}")
            for word, count in document["summary"].items():
                summary[word] = summary.get(word, 0) + count
    return summary


def _session(url: str, key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        base_url=url,
        headers={"Authorization": f"Token {key}"},
        connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=90),
    )


async def _health(session: aiohttp.ClientSession, url: str) -> None:
    try:
        async with session.get("/health/") as answer:
            await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NotPossible(f"No gateway answers at {url}. Is it running? (make demo starts one.)") from error


class _Shop:
    """The run of one file: where its sales are posted and what has come of them so far."""

    def __init__(self, session: aiohttp.ClientSession, wait_seconds: int, total: int, progress: Progress) -> None:
        self._session = session
        self._prefer = {"Prefer": f"wait={wait_seconds}", "Content-Type": "application/json"}
        self._total = total
        self._progress = progress
        self.results: list[Result] = []
        self.trouble: NotPossible | None = None  # what makes it pointless to go on

    async def post_all(self, queue: Iterator[Line]) -> None:
        for line in queue:
            if self.trouble:
                return
            self.results.append(await self._post(line))
            self._progress(self.results, self._total)

    async def _post(self, line: Line) -> Result:
        reason = ("", "")
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(min(0.5 * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS))
            try:
                async with self._session.post(SALES_PATH, data=line.body, headers=self._prefer) as answer:
                    document = await _document(answer)
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = ("connection", f"No answer came: {str(error) or type(error).__name__}.")
                continue
            if answer.status == 429 or answer.status >= 500:
                reason = (f"HTTP {answer.status}", str(document.get("detail", answer.reason)))
                continue
            if answer.status in {401, 403}:
                self.trouble = NotPossible(f"The gateway refuses the key: {document.get('detail', answer.reason)}")
                return Result(line, End.UNANSWERED)
            replayed = answer.headers.get("Idempotency-Replayed") == "true"
            return _result(line, document, replayed=replayed)
        return Result(line, End.UNANSWERED, reasons=[reason])

    async def settle(self, seconds: float) -> None:
        """Ask for those on their way until all are settled or the time is up."""
        until = time.monotonic() + seconds
        while (waiting := [one for one in self.results if one.end is End.WAITING]) and time.monotonic() < until:
            for result in waiting:
                await self._ask(result)
                if time.monotonic() >= until:
                    return
            self._progress(self.results, self._total)
            if any(one.end is End.WAITING for one in waiting):
                await asyncio.sleep(POLL_SECONDS)

    async def _ask(self, result: Result) -> None:
        path = STATUS_PATH.format(id=(result.document or {})["id"])
        try:
            async with self._session.get(path) as answer:
                document = await _document(answer)
        except (aiohttp.ClientError, TimeoutError):
            return  # it is kept; the next round asks again
        if answer.status == 200:
            news = _result(result.line, document, replayed=result.replayed)
            result.end, result.document, result.reasons = news.end, news.document, news.reasons


async def _document(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """The JSON object of an answer; something else is given as a problem's detail."""
    text = await answer.text(errors="replace")
    try:
        document = json.loads(text, parse_float=Decimal)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"detail": text[:200]}


def _result(line: Line, document: dict[str, Any], *, replayed: bool) -> Result:
    """What an answer means for its line: the document of a sale, or a problem."""
    status = document.get("status")
    if status == "signed":
        return Result(line, End.SIGNED, document, replayed)
    if status in {"queued", "sending", "unknown"}:
        waiting = document.get("waiting") or {}
        return Result(line, End.WAITING, document, replayed, [(str(status), str(waiting.get("reason") or ""))])
    if status in {"refused", "cancelled"}:
        reasons = _reasons(document.get("problem") or {}) or [(str(status), "Withdrawn before its turn.")]
        return Result(line, End.REFUSED, document, replayed, reasons)
    lacks_item = any(row.get("code") == "unknown_item" for row in document.get("fields") or ())
    return Result(line, End.NOT_TAKEN, None, replayed, _reasons(document), lacks_item)


def _reasons(problem: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Why something was not taken: the fields when there are any, else the sentence and what KRA said."""
    fields = [(str(row["field"]), str(row["message"])) for row in problem.get("fields") or ()]
    if fields or not problem:
        return fields
    kra = problem.get("kra") or {}
    words = f" (KRA: {kra.get('code')} {kra.get('message')})" if kra else ""
    return [(str(problem.get("code", "problem")), f"{problem.get('detail', '')}{words}")]
