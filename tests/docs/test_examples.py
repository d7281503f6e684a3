"""Every example that a document offers does what the document says."""

import json
import re
import urllib.request
from typing import Any

import pytest

from tests.docs.conftest import README_ADDRESS, Reader
from tests.docs.pages import ROOT, Example, blocks, examples, fits

PAGES = [
    "README.md",
    "docs/tutorial/first-receipt.md",
    "docs/how-to/post-a-sale.md",
    "docs/how-to/give-money-back.md",
    "docs/how-to/register-items.md",
    "docs/how-to/choose-item-classes.md",
    "docs/how-to/read-errors.md",
    "docs/how-to/use-the-simulator.md",
    "docs/how-to/bring-up-oscu-device.md",
    "docs/how-to/bring-up-vscu-device.md",
    "docs/how-to/settle-a-held-lane.md",
    "docs/how-to/print-and-send-receipts.md",
    "docs/how-to/keep-stock.md",
    "docs/how-to/bring-in-a-shop.md",
    "docs/how-to/accept-purchases-and-imports.md",
    "docs/how-to/read-the-drift-report.md",
    "docs/how-to/read-the-electronic-journal.md",
    "docs/how-to/look-things-up-at-kra.md",
    "docs/how-to/manage-keys.md",
    "docs/how-to/let-people-in.md",
    "docs/how-to/see-what-happened.md",
    "docs/how-to/close-the-day.md",
    pytest.param("docs/how-to/replay-a-trading-day.md", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_print_what_it_says(reader: Reader, page: str) -> None:
    offered = examples(page)
    assert offered
    for example, printed in zip(offered, reader.follow(offered), strict=True):
        for block in example.gives:
            assert fits(block, printed), f"{page} says\n{block.text}\nand\n{example.script}\nprinted\n{printed}"


def test_the_first_curl_of_the_readme_is_the_one_that_the_demo_prints(reader: Reader) -> None:
    printed = re.search(r"^curl -sS .*?\n$", reader.printed, re.MULTILINE | re.DOTALL)
    assert printed

    def plain(command: str) -> str:
        command = command.replace(reader.gateway, README_ADDRESS).replace(f"{reader.folder}/", "").strip()
        return re.sub(r'"(reference|issued_at)": "[^"]*"', r'"\1": ""', command)

    (example,) = examples("README.md")
    assert plain(example.script) == plain(printed[0])


def test_the_page_that_the_demo_names_at_its_end_is_there(reader: Reader) -> None:
    named = re.findall(r"^(docs/\S+\.md) ", reader.printed, re.MULTILINE)
    assert named
    assert all((ROOT / page).is_file() for page in named)


def test_the_answer_document_has_exactly_the_fields_of_its_page(reader: Reader) -> None:
    (shown,) = [block for block in blocks("docs/reference/answer-document.md") if block.purpose == "document"]
    reader.follow(examples("README.md"))
    request = urllib.request.Request(
        f"{reader.gateway}/api/invoices/?reference=MINE-1", headers={"Authorization": f"Token {reader.key}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        (given,) = json.load(answer)["invoices"]
    assert fields(json.loads(shown.text)) == fields(given)


def fields(value: Any) -> Any:
    """The names of all fields, in order, without their values."""
    if isinstance(value, dict):
        return {name: fields(inner) for name, inner in value.items()}
    return [fields(inner) for inner in value] if isinstance(value, list) else None


def test_an_example_that_prints_something_else_is_noticed() -> None:
    (example,) = [Example("", [block]) for block in blocks("README.md") if block.purpose == "gives"]
    (block,) = example.gives
    assert not fits(block, block.text.replace("signed", "refused"))
    assert fits(block, block.text.replace("{", '{"more": 1, ', 1))
