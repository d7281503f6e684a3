"""Posting a file of sales over HTTP."""

import asyncio
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.ops.sell import End, Line, NotPossible, Report, Result, prepare, read_lines, sell
from gateway.ops.sell_terminal import EXAMPLE_ITEMS, ROOT, progress_on, summary
from tools.make_example_day import amounts

pytestmark = pytest.mark.xdist_group("demo")

DAY = ROOT / "examples" / "supermarket-day.jsonl"
ITEMS = json.loads(EXAMPLE_ITEMS.read_text(encoding="utf-8"))["items"]


def sale(reference: str, **changes: Any) -> dict[str, Any]:
    line = {"item_code": "SUGAR-BROWN-1KG", "quantity": "2", "unit_price": "168.00"}
    return {"reference": reference, "issued_at": "2026-11-20T10:00:00+03:00", "lines": [line], **changes}


def lines_of(*sales: dict[str, Any]) -> list[Line]:
    return [
        Line(number, json.dumps(one).encode(), one["reference"], one.get("device", ""))
        for number, one in enumerate(sales, start=1)
    ]


def sold(shop: Any, *sales: dict[str, Any], **options: Any) -> Report:
    return asyncio.run(sell(lines_of(*sales), url=shop.demo.gateway, key=shop.demo.key, **options))


# The real gateway


def test_the_example_day_is_signed_once_however_often_it_is_sent(shop, ledger_size):
    assert sum(asyncio.run(prepare(ITEMS, url=shop.demo.gateway, key=shop.demo.key)).values()) == len(ITEMS)
    lines, wrong = read_lines(DAY)
    assert wrong == []
    before = ledger_size()
    first = asyncio.run(sell(lines, url=shop.demo.gateway, key=shop.demo.key))
    assert (len(first.ended(End.SIGNED)), first.exit_code) == (300, 0)
    assert ledger_size() == before + 300

    again = asyncio.run(sell(lines, url=shop.demo.gateway, key=shop.demo.key, jobs=4))
    assert all(result.replayed for result in again.ended(End.SIGNED))
    assert again.by_letter == first.by_letter == expected_totals()
    assert ledger_size() == before + 300
    order = [row["reference"] for row in shop.simulator.ledger()][before:]
    assert order == [line.reference for line in lines]


def expected_totals() -> dict[str, Any]:
    """The day's totals by letter, worked out from the file alone."""
    letters = {item["code"]: item["tax_type"] for item in ITEMS}
    report = Report([], 0)
    for text in DAY.read_text(encoding="utf-8").splitlines():
        rows: dict[str, dict[str, str]] = {}
        for line in json.loads(text)["lines"]:
            letter = letters[line["item_code"]]
            total, tax = amounts(line, letter)
            known = rows.get(letter, {"net": "0.00", "tax": "0.00", "amount": "0.00"})
            new = {"net": total - tax, "tax": tax, "amount": total}
            rows[letter] = {name: str(Decimal(known[name]) + new[name]) for name in new}
        report.results.append(Result(Line(0, b"", "", ""), End.SIGNED, {"totals": {"by_tax_type": rows}}))
    return report.by_letter


def test_a_wrong_sale_is_told_by_its_line_and_field_and_the_rest_goes_on(shop):
    unknown = {"item_code": "NO-SUCH-ITEM", "quantity": "1", "unit_price": "1.00"}
    report = sold(
        shop, sale("WRONG-1"), sale("WRONG-2", lines=[unknown]), sale("WRONG-3", colour="red"), sale("WRONG-4")
    )
    assert [result.line.reference for result in report.ended(End.SIGNED)] == ["WRONG-1", "WRONG-4"]
    wrong = report.ended(End.NOT_TAKEN)
    assert [(result.line.number, result.reasons[0][0]) for result in wrong] == [
        (2, "lines[0].item_code"),
        (3, "colour"),
    ]
    assert [result.lacks_item for result in wrong] == [True, False]
    assert report.exit_code == 1


def test_what_is_on_its_way_is_followed_until_it_is_signed(shop):
    shop.simulator.fault("sales_save", "delay", times=1, seconds=1)
    report = sold(shop, sale("SLOW-1"), sale("SLOW-2"), wait_seconds=0, settle_seconds=20)
    assert [result.end for result in report.results] == [End.SIGNED, End.SIGNED]
    assert report.exit_code == 0


def test_what_is_not_finished_in_time_is_said_to_be_on_its_way(shop):
    shop.simulator.fault("sales_save", "delay", times=1, seconds=2)
    report = sold(shop, sale("LATE-1"), wait_seconds=0, settle_seconds=0)
    assert [result.line.reference for result in report.ended(End.WAITING)] == ["LATE-1"]
    assert report.exit_code == 2
    assert sold(shop, sale("LATE-1"), settle_seconds=20).exit_code == 0


def test_what_kra_refuses_is_told_with_its_words(shop):
    shop.simulator.fault("sales_save", "result_code", times=1, code="910", message="Request parameter error")
    report = sold(shop, sale("REFUSED-1"))
    assert "910" in " ".join(" ".join(reason) for reason in report.ended(End.REFUSED)[0].reasons)
    assert report.exit_code == 1


def test_a_reference_with_other_content_is_told(shop):
    report = sold(shop, sale("TWICE-1"), sale("TWICE-1", remark="another"))
    assert [result.end for result in report.results] == [End.SIGNED, End.NOT_TAKEN]
    assert report.results[1].reasons[0][0] == "reference_reused"


def test_a_key_that_is_not_accepted_stops_at_once(shop):
    with pytest.raises(NotPossible, match="refuses the key"):
        asyncio.run(sell(lines_of(sale("KEY-1")), url=shop.demo.gateway, key="rvp_sbx_unknown"))


def test_items_that_are_not_taken_are_named(shop):
    wrong = {**ITEMS[0], "code": "WRONG-ITEM", "item_class": "123"}
    with pytest.raises(NotPossible, match=r"items\[0\]\.item_class"):
        asyncio.run(prepare([wrong], url=shop.demo.gateway, key=shop.demo.key))


def test_the_command_tells_all_of_it(shop, tmp_path):
    file = tmp_path / "sales.jsonl"
    file.write_text("\ufeff" + json.dumps(sale("CLI-1")) + "\r\n\r\nno json\r\n" + json.dumps(sale("CLI-1")), "utf-8")
    arguments = [str(file), "--url", f"{shop.demo.gateway}/", "--key", shop.demo.key]
    done = subprocess.run(
        [sys.executable, "-m", "gateway.ops", "sell", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1, done.stderr
    assert "3 sales in" in done.stdout
    assert "2 signed (1 of them were signed before)" in done.stdout
    assert "line 3: This is no JSON" in done.stdout
    assert "579.32" in done.stdout  # 2 x 336.00 with 16 %: net
    assert done.stderr == "2 of 2: 2 signed\n"


# A small server that has a bad day


class BadDay(BaseHTTPRequestHandler):
    """Answers 503 to the first `troubles` posts, closes on the next, then signs; healthy all the time."""

    troubles = 2
    seen: list[str]

    def do_GET(self) -> None:
        self.answer(200, {"status": "ok"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(body["reference"])
        if len(self.seen) <= self.troubles:
            self.answer(503, {"detail": "The database did not answer.", "code": "not_kept"})
        elif len(self.seen) == self.troubles + 1:
            self.close_connection = True  # no answer at all
        else:
            self.answer(201, {"id": "1", "status": "signed", "totals": {"by_tax_type": {}}})

    def answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def bad_day() -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    handler = type("Handler", (BadDay,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


def test_a_sale_without_an_answer_is_sent_again_with_the_same_reference(bad_day):
    url, seen = bad_day
    report = asyncio.run(sell(lines_of(sale("AGAIN-1")), url=url, key="k"))
    assert report.exit_code == 0
    assert seen == ["AGAIN-1"] * 4


def test_nobody_at_the_address_is_said_in_one_sentence():
    with pytest.raises(NotPossible, match=r"No gateway answers at http://127\.0\.0\.1:9"):
        asyncio.run(sell([], url="http://127.0.0.1:9", key="k"))


# Files and reports


def test_lines_that_are_no_sale_are_told_by_number(tmp_path):
    file = tmp_path / "sales.jsonl"
    file.write_text('{"reference": "A"}\n\n{"reference": 7}\n{"reference": "B", "device": "TILL-2"}\n"sale"\n{broken\n')
    good, wrong = read_lines(file)
    assert [(line.number, line.reference, line.device) for line in good] == [(1, "A", ""), (4, "B", "TILL-2")]
    assert [(result.line.number, result.reasons[0][0]) for result in wrong] == [
        (3, "reference"),
        (5, ""),
        (6, ""),
    ]


def test_a_file_that_is_not_there_is_said_in_one_sentence():
    with pytest.raises(NotPossible, match=r"nowhere\.jsonl cannot be read: No such file"):
        read_lines(Path("nowhere.jsonl"))


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([End.SIGNED], 0),
        ([], 0),
        ([End.SIGNED, End.REFUSED], 1),
        ([End.NOT_TAKEN], 1),
        ([End.WAITING, End.NOT_TAKEN], 2),
        ([End.UNANSWERED], 2),
    ],
)
def test_the_exit_code_says_whether_anything_is_left_to_do(ends, code):
    results = [Result(Line(number, b"", "", ""), end) for number, end in enumerate(ends)]
    assert Report(results, 0).exit_code == code


def test_the_summary_names_each_line_that_needs_a_look():
    results = [
        Result(Line(3, b"", "POS-3", ""), End.REFUSED, reasons=[("kra_refused", "No. (KRA: 910 Wrong)")]),
        Result(Line(2, b"", "POS-2", ""), End.WAITING, reasons=[("queued", "KRA is away")]),
    ]
    assert list(summary(Report(results, 1.5))) == [
        "2 sales in 1.5 s: 0 signed",
        "1 on their way (kept; the gateway goes on by itself):",
        "  line 2: POS-2: queued: KRA is away",
        "1 refused:",
        "  line 3: POS-3: kra_refused: No. (KRA: 910 Wrong)",
    ]


def test_one_sale_is_one_and_what_lacks_its_item_says_how_to_register_it():
    wrong = Result(Line(1, b"", "POS-1", ""), End.NOT_TAKEN, reasons=[("lines[0].item_code", "No.")], lacks_item=True)
    said = ["1 sale in 0.0 s: 0 signed", "1 not taken:", "  line 1: POS-1: lines[0].item_code: No."]
    hint = "  --prepare registers the items of examples/items.json."
    assert list(summary(Report([wrong], 0))) == [*said, hint]
    assert list(summary(Report([wrong], 0), prepared=True)) == said


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_without_a_command_each_of_them_is_listed(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "gateway.ops", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "demo " in done.stdout and "sell " in done.stdout and "JSON Lines" in done.stdout


def test_progress_away_from_a_terminal_is_a_line_now_and_then():
    stream = io.StringIO()
    results = [Result(Line(number, b"", "", ""), End.SIGNED) for number in range(1, 121)]
    progress = progress_on(stream)
    for count in range(1, 121):
        progress(results[:count], 120)
    assert stream.getvalue().splitlines() == [
        "50 of 120: 50 signed",
        "100 of 120: 100 signed",
        "120 of 120: 120 signed",
    ]
