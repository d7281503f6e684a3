"""The folder that a certification run leaves: each message and answer, a table, the printed papers, KRA's four uploads.

Nothing secret is written: keys, tokens and passwords are masked, and so are people's names and contacts in messages.
"""

import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from gateway.kra.documents import Exchange
from gateway.kra.operations import path_of
from gateway.kra.profiles import Profile, host_of
from gateway.lib.clock import NAIROBI
from gateway.ops import certify_shop as shop
from gateway.ops.certify_run import Result, Run, Status
from gateway.sales.receipts.document import ReceiptDocument
from gateway.sales.receipts.forms import drawn, form
from gateway.sales.receipts.labels import ReceiptType
from gateway.sales.receipts.logos import Logos

SUMMARY = "summary.md"
UPLOADS = "uploads"
PAPERS = "printed"
CLOCK_WARNING = timedelta(seconds=60)


def write_case(folder: Path, result: Result, profile: Profile) -> None:
    """A case's messages in their order (`request.json`, `answer.json`, then `request-2.json` …) and a note."""
    place = folder / result.case.folder
    place.mkdir(parents=True)
    for index, exchange in enumerate(result.exchanges, 1):
        ending = "" if index == 1 else f"-{index}"
        (place / f"request{ending}.json").write_text(_readable(exchange.request_masked), encoding="utf-8")
        (place / f"answer{ending}.json").write_text(_readable(exchange.answer_masked), encoding="utf-8")
    (place / "note.txt").write_text("\n".join(_note(result, profile)) + "\n", encoding="utf-8")


def _readable(text: str) -> str:
    """JSON laid out for people, numbers as they were; what is no JSON (an empty answer, a cut list) stands in one."""
    try:
        msgspec.json.decode(text)
        return msgspec.json.format(text, indent=2) + "\n"
    except msgspec.DecodeError:
        wrapped = {"not_json_or_cut": text}
        return msgspec.json.format(msgspec.json.encode(wrapped), indent=2).decode() + "\n"


def _note(result: Result, profile: Profile) -> Iterator[str]:
    yield f"{result.case.number}. {result.case.title}: {result.status}"
    if result.message:
        yield f"{result.code} {result.message}".strip()
    yield from result.notes
    for index, exchange in enumerate(result.exchanges, 1):
        yield ""
        yield f"Message {index}: POST {profile.base_url}{path_of(exchange.operation, profile)}"
        yield from _facts(exchange)


def _facts(exchange: Exchange) -> Iterator[str]:
    yield f"  sent at      {exchange.started_at.astimezone(NAIROBI).isoformat(timespec='milliseconds')}"
    yield f"  answered in  {exchange.duration_ms} ms, HTTP {exchange.http_status or 'none'}"
    yield f"  result       {exchange.code} {exchange.message}".rstrip()
    if exchange.number is not None:
        yield f"  number       {exchange.number}"
    if exchange.request_sha256:
        yield f"  SHA-256      {exchange.request_sha256} (of the body as sent)"


# Papers


def write_papers(folder: Path, run: Run, *, seller: str, address: str, logos: Logos) -> list[str]:
    """The signed invoices, a copy and the credit note, each as it is printed; the names of what was written."""
    names: list[str] = []
    for name, sold, type, original in (
        ("invoice", run.sale, ReceiptType.NORMAL, None),
        ("invoice-copy", run.sale, ReceiptType.COPY, None),
        ("invoice-walk-in", run.walk_in, ReceiptType.NORMAL, None),
        ("credit-note", run.credit_note, ReceiptType.NORMAL, run.sale),
    ):
        if sold is None or run.activation is None:
            continue
        document = shop.printed(
            sold,
            type=type,
            activation=run.activation,
            profile=run.client.profile,
            seller=seller,
            address=address,
            original=original,
        )
        names += _write_paper(folder / PAPERS, name, document, logos)
    return names


def _write_paper(place: Path, name: str, document: ReceiptDocument, logos: Logos) -> list[str]:
    """A document on A4, on a roll of 80 mm, as a page and as text."""
    place.mkdir(exist_ok=True)
    forms = {
        f"{name}-a4.pdf": form("pdf", "a4"),
        f"{name}-80mm.pdf": form("pdf", "80mm"),
        f"{name}.html": form("html"),
        f"{name}.txt": form("text", with_qr=True),
    }
    for file, wanted in forms.items():
        (place / file).write_bytes(drawn(document, wanted, logos))
    return list(forms)


def write_uploads(folder: Path) -> list[tuple[str, str]]:
    """KRA's four uploads by name, copied from where they came about; what each is and its file."""
    place = folder / UPLOADS
    place.mkdir()
    wanted = [
        ("Item creation", "10-save-item/request.json", "1-item-creation-request.json"),
        ("Item creation", "10-save-item/answer.json", "1-item-creation-answer.json"),
        ("Invoice generation", "14-save-sales-transaction/request.json", "2-invoice-generation-request.json"),
        ("Invoice generation", "14-save-sales-transaction/answer.json", "2-invoice-generation-answer.json"),
        ("Printed invoice", f"{PAPERS}/invoice-a4.pdf", "3-printed-invoice.pdf"),
        ("Printed credit note", f"{PAPERS}/credit-note-a4.pdf", "4-printed-credit-note.pdf"),
    ]
    found: list[tuple[str, str]] = []
    for what, source, name in wanted:
        if (folder / source).exists():
            shutil.copyfile(folder / source, place / name)
            found.append((what, name))
    return found


# Summary


def table(results: Sequence[Result]) -> Iterator[str]:
    """The pass table as text, one line a case, in the order of the run."""
    yield f"{'#':>2}  {'test case':<30}{'result':<13}{'code':<8}{'ms':>6}  message"
    for result in results:
        yield line(result)


def line(result: Result) -> str:
    """One row of the pass table."""
    case = result.case
    shown = f"{case.number:>2}  {case.title:<30}{result.status:<13}{result.code[:7]:<8}{result.milliseconds:>6}"
    return f"{shown}  {result.message}".rstrip()


def counted(results: Sequence[Result]) -> str:
    """`24 passed`, `20 passed, 4 not offered`."""
    counts = {status: sum(result.status is status for result in results) for status in Status}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def write_summary(
    folder: Path, run: Run, results: Sequence[Result], *, papers: Sequence[str], uploads: Sequence[tuple[str, str]]
) -> None:
    """`summary.md`: who, where, when, the pass table and what to hand in."""
    text = "\n".join(_summary(run, results, papers, uploads)) + "\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")


def _summary(
    run: Run, results: Sequence[Result], papers: Sequence[str], uploads: Sequence[tuple[str, str]]
) -> Iterator[str]:
    profile, activation = run.client.profile, run.activation
    took = run.now() - run.started
    yield "# Certification run"
    yield ""
    if profile.environment == "simulator":
        yield "**A rehearsal against the simulator: it proves nothing to KRA.**"
        yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| way | {profile.flavour}, {host_of(profile.base_url)} |"
    yield f"| taxpayer | {run.pin}, branch {run.branch} |"
    yield f"| device | {run.serial}, control unit {(activation.control_unit_id if activation else '') or 'none yet'} |"
    yield f"| started | {run.started.astimezone(NAIROBI).isoformat(timespec='seconds')} |"
    yield f"| took | {took.total_seconds():.0f} s |"
    yield f"| result | {counted(results)} |"
    if skew := _skew(results):
        yield f"| clock | KRA's clock is {skew:.0f} s from ours: set ours by NTP |"
    yield ""
    yield "| # | test case | call | result | code | message | ms | folder |"
    yield "|---|---|---|---|---|---|---|---|"
    for result in results:
        case, message = result.case, " ".join(result.message.replace("|", "\\|").split())
        call = f"`{path}`" if (path := path_of(case.operation, profile)) else "none"
        has_folder = "" if result.status is Status.NOT_OFFERED else f"[{case.folder}]({case.folder}/note.txt)"
        yield (
            f"| {case.number} | {case.title} | {call} | {result.status} | {result.code} | {message} "
            f"| {result.milliseconds} | {has_folder} |"
        )
    if uploads:
        yield ""
        yield "## The four uploads"
        yield ""
        yield from (f"- {what}: [{name}]({UPLOADS}/{name})" for what, name in uploads)
    if papers:
        yield ""
        yield "## Printed"
        yield ""
        yield from (f"- [{name}]({PAPERS}/{name})" for name in papers)
    yield ""
    yield "Keys, tokens and passwords are masked in all messages, and so are people's names and contacts."


def _skew(results: Sequence[Result]) -> float:
    """Seconds between KRA's clock and ours in the first answer that has both; 0 when it is no matter."""
    for result in results:
        for exchange in result.exchanges:
            if exchange.server_time is not None:
                away = abs(exchange.server_time - exchange.started_at)
                return away.total_seconds() if away > CLOCK_WARNING else 0.0
    return 0.0
