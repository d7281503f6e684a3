"""`sell` at the terminal: its options, progress while it goes, a summary at its end."""

import asyncio
import json
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from gateway.ops.sell import End, NotPossible, Progress, Report, Result, Sums, prepare, read_lines, sell

ROOT = Path(__file__).resolve().parents[2]
DEMO_KEY = ROOT / "var" / "demo" / "key"
EXAMPLE_ITEMS = ROOT / "examples" / "items.json"

BAR_WIDTH = 30
REFRESH_SECONDS = 0.1
EVERY = 50  # lines between two words of progress where there is no terminal
MOST_SHOWN = 50


def progress_on(stream: TextIO = sys.stderr) -> Progress:
    """A bar on a terminal, a line now and then elsewhere."""
    is_terminal = stream.isatty()
    shown_at = 0.0

    def bar(results: list[Result], total: int) -> None:
        nonlocal shown_at
        done, now = len(results), time.monotonic()
        if done < total and (now < shown_at + REFRESH_SECONDS if is_terminal else done % EVERY):
            return
        shown_at = now
        ends = ", ".join(f"{count} {end}" for end in End if (count := sum(one.end is end for one in results)))
        if is_terminal:
            filled = BAR_WIDTH * done // max(total, 1)
            print(f"\r[{'#' * filled:<{BAR_WIDTH}}] {done}/{total}  {ends}\x1b[K", end="", file=stream, flush=True)
        else:
            print(f"{done} of {total}: {ends}", file=stream, flush=True)

    return bar


def summary(report: Report, *, prepared: bool = False) -> Iterator[str]:
    """The report, line by line. `prepared`: the example items were registered first."""
    signed = report.ended(End.SIGNED)
    known = sum(result.replayed for result in signed)
    already = f" ({known} of them were signed before)" if known else ""
    count = len(report.results)
    yield f"{count} {'sale' if count == 1 else 'sales'} in {report.seconds:.1f} s: {len(signed)} signed{already}"
    sums = report.by_letter
    if sums:
        total = Sums()
        yield f"  {'tax letter':<10} {'net':>16} {'tax':>14} {'gross':>16}"
        for letter, row in sums.items():
            total = Sums(total.net + row.net, total.tax + row.tax, total.gross + row.gross)
            yield f"  {letter:<10} {row.net:>16,} {row.tax:>14,} {row.gross:>16,}"
        yield f"  {'all, KES':<10} {total.net:>16,} {total.tax:>14,} {total.gross:>16,}"
    yield from _listed("on their way (kept; the gateway goes on by itself)", report.ended(End.WAITING))
    yield from _listed("without an answer (send the file again)", report.ended(End.UNANSWERED))
    yield from _listed("refused", report.ended(End.REFUSED))
    not_taken = report.ended(End.NOT_TAKEN)
    yield from _listed(str(End.NOT_TAKEN), not_taken)
    if not prepared and any(result.lacks_item for result in not_taken):
        yield "  --prepare registers the items of examples/items.json."


def _listed(title: str, results: list[Result]) -> Iterator[str]:
    if not results:
        return
    yield f"{len(results)} {title}:"
    for result in results[:MOST_SHOWN]:
        for field, sentence in result.reasons or [("", "")]:
            words = ": ".join(part for part in (result.line.reference, field, sentence) if part)
            yield f"  line {result.line.number}: {words}"
    if len(results) > MOST_SHOWN:
        yield f"  … and {len(results) - MOST_SHOWN} more"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="one sale a line, as POST /api/sales/ takes it")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the gateway is (%(default)s)")
    parser.add_argument("--key", help="API key; left out: $GATEWAY_KEY, else the key that make demo keeps")
    parser.add_argument("--jobs", type=int, default=1, help="sales of a device under way at once (1: in order)")
    parser.add_argument("--wait", type=int, default=10, help="seconds a sale may wait for its receipt, 0 to 55")
    parser.add_argument("--settle", type=float, default=60, help="seconds to follow what is on its way at the end")
    parser.add_argument("--prepare", action="store_true", help="register the items of examples/items.json first")


def main(*, file: Path, url: str, key: str | None, jobs: int, wait: int, settle: float, prepare: bool) -> int:
    """Run at a terminal. The exit code: 0 all signed, 1 some refused or not taken, 2 not finished."""
    try:
        return asyncio.run(
            _main(file, url.rstrip("/"), key or _known_key(), max(jobs, 1), wait, settle, with_items=prepare)
        )
    except NotPossible as reason:
        print(reason, file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped. Send the file again to go on: what is signed stays signed once.", file=sys.stderr)
    return 2


async def _main(
    file: Path, url: str, key: str, jobs: int, wait_seconds: int, settle_seconds: float, *, with_items: bool
) -> int:
    lines, wrong = read_lines(file)
    if with_items:
        items = json.loads(EXAMPLE_ITEMS.read_text(encoding="utf-8"))["items"]
        counts = await prepare(items, url=url, key=key)
        print(f"{len(items)} items:", ", ".join(f"{count} {word}" for word, count in counts.items() if count))
    report = await sell(
        lines,
        url=url,
        key=key,
        jobs=jobs,
        wait_seconds=wait_seconds,
        settle_seconds=settle_seconds,
        progress=progress_on(),
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    report.results += wrong
    for text in summary(report, prepared=with_items):
        print(text)
    return report.exit_code


def _known_key() -> str:
    """Raises NotPossible when there is none."""
    if key := os.environ.get("GATEWAY_KEY"):
        return key
    if not DEMO_KEY.exists():
        raise NotPossible("Which key? Give --key, or set GATEWAY_KEY.")
    return DEMO_KEY.read_text(encoding="utf-8").strip()
