"""What a run leaves behind: JSON for machines, text for people, and the evidence of every violation."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.chaos.evidence import percentile
from tests.chaos.seeds import Result

SHOWN = 8  # violations of one run, in the text


def last_line(results: list[Result]) -> str:
    """The line that decides."""
    sales, faults = sum(result.sales for result in results), sum(result.struck for result in results)
    return f"{sales} sales, {faults} faults, {sum(len(result.violations) for result in results)} violations"


def one_line(result: Result) -> str:
    """How one seed or scenario went."""
    if result.skipped:
        return f"{result.shape:9}{result.name}: skipped, because {result.skipped}"
    doubts = result.doubt_seconds
    parts = [
        f"{result.sales} sales, {result.struck} faults",
        f"{result.recovered} recovered, {result.refused} refused",
        f"in doubt p50 {percentile(doubts, 0.5):.1f} s, max {percentile(doubts, 1):.1f} s" if doubts else "",
        f"at rest {result.settle_seconds:.1f} s after the storm" if result.settle_seconds else "",
        ", ".join(f"{name} {value}" for name, value in result.figures.items()),
        f"{result.wall_seconds:.0f} s",
        f"{len(result.violations)} violations",
    ]
    return f"{result.shape:9}{result.name}: {'; '.join(part for part in parts if part)}"


def write_report(results: list[Result], path: Path, *, wall_seconds: float) -> str:
    """Write `path` (JSON) and the same as text beside it; gives the text, whose last line decides."""
    faults: Counter[str] = Counter()
    for result in results:
        faults.update(result.faults)
    doubts = sorted(seconds for result in results for seconds in result.doubt_seconds)
    settles = sorted(result.settle_seconds for result in results if result.settle_seconds)
    lines = [one_line(result) for result in results]
    lines += [
        "",
        "Faults that struck (of KRA: messages):",
        *(f"  {number:5} {name}" for name, number in sorted(faults.items())),
    ]
    for result in results:
        if result.violations:
            lines += ["", f"Violations of {result.shape} {result.name}:"]
            lines += [f"  {one.name}: {one.subject}: {one.detail[:600]}" for one in result.violations[:SHOWN]]
        if len(result.violations) > SHOWN:
            lines.append(f"  and {len(result.violations) - SHOWN} more in the evidence")
    lines += [
        "",
        f"{sum(result.recovered for result in results)} receipts recovered, {len(doubts)} documents were in doubt: "
        f"p50 {percentile(doubts, 0.5):.2f} s, p95 {percentile(doubts, 0.95):.2f} s, max {percentile(doubts, 1):.2f} s",
        f"At rest after the storm: p50 {percentile(settles, 0.5):.1f} s, max {percentile(settles, 1):.1f} s; "
        f"{wall_seconds:.0f} s in all",
        last_line(results),
    ]
    text = "\n".join(lines) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "summary": last_line(results),
        "wall_seconds": round(wall_seconds, 1),
        "faults": dict(sorted(faults.items())),
        "doubt_seconds": {"p50": percentile(doubts, 0.5), "p95": percentile(doubts, 0.95), "n": len(doubts)},
        "results": [asdict(result) for result in results],
    }
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    path.with_suffix(".txt").write_text(text, encoding="utf-8")
    return text


def keep_evidence(result: Result, folder: Path) -> None:
    """Everything about a run that broke a promise."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [asdict(violation) for violation in result.violations]
    (folder / "violations.json").write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")
    (folder / "notes.txt").write_text("\n".join(result.notes) + "\n", encoding="utf-8")
