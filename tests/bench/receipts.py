"""How long a receipt takes on each paper, and a day of them: `python -m tests.bench.receipts`.

What is timed is drawing alone, from a stored row to bytes: a sale with five tax letters, six lines, a discount and two
means of payment, each with a QR code of its own. CPU time stands beside the clock's, which a busy machine stretches.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import django

django.setup()

from gateway.sales.receipts.document import receipt_document  # noqa: E402
from gateway.sales.receipts.forms import Form, drawn, form  # noqa: E402
from gateway.sales.receipts.labels import ReceiptType  # noqa: E402
from gateway.sales.receipts.pdf import receipt_pdf  # noqa: E402
from gateway.sales.receipts.text import receipt_text  # noqa: E402
from tests.sales.receipt_rows import make_row  # noqa: E402

FORMS = [("pdf", "80mm"), ("pdf", "a4"), ("escpos", "80mm"), ("html", ""), ("text", "80mm")]


def rows(count: int) -> list[dict[str, Any]]:
    return [make_row(reference=f"POS-{number}", signature=f"QUII27MATATS{number:04}") for number in range(count)]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=200, help="receipts of each form (%(default)s)")
    parser.add_argument("--day", type=int, default=1000, help="receipts of the day (%(default)s)")
    asked = parser.parse_args()
    for name, paper in FORMS:
        wanted = form(name, paper or None)
        drawn(receipt_document(make_row()), wanted)  # fonts are read once a process
        times = [timed(partial(draw, row, wanted)) for row in rows(asked.each)]
        wall, cpu = ([one[side] * 1000 for one in times] for side in (0, 1))
        p95 = statistics.quantiles(wall, n=20)[-1]
        said = f"p50 {statistics.median(wall):6.2f} ms  p95 {p95:6.2f} ms  CPU {statistics.median(cpu):6.2f} ms"
        print(f"{name:<7}{paper:<5} {said}")
    day = rows(asked.day)

    def one_file() -> None:
        documents = [receipt_document(row, type=ReceiptType.COPY) for row in day]
        receipt_pdf(documents, paper="80mm", title="Day")
        for document in documents:
            receipt_text(document)  # what the journal keeps of each

    wall_seconds, cpu_seconds = timed(one_file)
    print(f"{asked.day} receipts as one PDF on 80 mm: {wall_seconds:.1f} s (CPU {cpu_seconds:.1f} s)")


def draw(row: dict[str, Any], wanted: Form) -> bytes:
    return drawn(receipt_document(row), wanted)


if __name__ == "__main__":
    main()
