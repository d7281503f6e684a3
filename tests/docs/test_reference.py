"""The reference pages say what the code says, no more and no less."""

import ast
import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import DjangoHelpFormatter

from gateway.api.errors import WORDS
from gateway.api.problems import PROBLEMS
from gateway.catalog.services import Outcome
from gateway.devices.models import Device
from gateway.kra.codes import DEFAULT_RATES, PaymentMethod, TaxClass
from gateway.kra.options import NAMES
from gateway.kra.tax import AmountProfile, LineIn, figures
from gateway.lib.schedule import Daily, When
from gateway.sales.intake import NOT_READABLE
from gateway.sales.models import Invoice
from gateway.simulator.faults import KINDS
from gateway.tenants.models import Company
from gateway.wiring import SCHEDULE
from tests.docs.pages import ROOT, read, sections, table_rows

SETTINGS = "docs/reference/settings.md"
COMMANDS = "docs/reference/commands.md"
STATUSES = "docs/reference/statuses.md"
TAX = "docs/explanation/tax-and-amounts.md"
PROBLEM_PAGE = "docs/reference/problems.md"
FILES_WITH_CODES = [
    *("gateway/api/errors.py", "gateway/api/hot.py", "gateway/api/invoices.py", "gateway/api/onboarding.py"),
    *(
        "gateway/api/shapes.py",
        "gateway/api/catalogue.py",
        "gateway/api/environment.py",
        "gateway/catalog/judging.py",
        "gateway/catalog/services.py",
        "gateway/kra/tax.py",
    ),
    *("gateway/sales/intake.py", "gateway/sales/services.py", "gateway/sales/credit_notes.py"),
    *("gateway/sales/credit_balance.py", "gateway/sales/crediting.py", "gateway/api/late_credits.py"),
    *("gateway/api/pages.py", "gateway/api/receipts.py", "gateway/api/reports.py", "gateway/api/journal.py"),
    *("gateway/stock/services.py", "gateway/stock/recipes.py", "gateway/purchases/services.py"),
]


# Settings


def read_from_environment() -> dict[str, Any]:
    """The name of every variable that settings.py reads, with its default as written; None when it has none."""
    found: dict[str, Any] = {}
    for node in ast.walk(ast.parse(read("gateway/settings.py"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "env"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            found[str(node.args[0].value)] = next((word.value for word in node.keywords if word.arg == "default"), None)
    return found


def documented_settings() -> dict[str, str]:
    headings = re.findall(r"^### `([A-Z_]+)`$", read(SETTINGS), re.MULTILINE)
    return {name: sections(SETTINGS)[name] for name in headings}


def test_every_setting_is_documented_and_none_that_does_not_exist() -> None:
    of_commands = {"GATEWAY_KEY"}
    assert set(documented_settings()) - of_commands == set(read_from_environment())
    for name in of_commands:
        assert any(name in path.read_text(encoding="utf-8") for path in (ROOT / "gateway" / "ops").glob("*.py"))


def test_every_setting_that_can_come_from_a_file_is_named_as_such() -> None:
    tree = ast.parse(read("gateway/settings.py"))
    sets = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AugAssign) and "FROM_FILES" in ast.unparse(node).split("=")[0]
    ]
    names = set().union(*(ast.literal_eval(value) for value in sets))
    introduction = read(SETTINGS).partition("\n## ")[0]
    assert set(re.findall(r"`([A-Z_]+)`", introduction)) == names


def test_the_example_file_names_every_setting() -> None:
    assert set(re.findall(r"^#?([A-Z_]+)=", read(".env.example"), re.MULTILINE)) == set(read_from_environment())


def test_the_defaults_are_those_of_the_settings() -> None:
    for name, text in documented_settings().items():
        node = read_from_environment().get(name)
        if node is None:
            assert text.lstrip().startswith("No default.") or name == "GATEWAY_KEY", name
        elif isinstance(node, ast.Constant | ast.List):
            default = ast.literal_eval(node)
            said = re.match(r"\s*Default: (?:`([^`]*)`|(empty))", text)
            assert said, f"{name} does not begin with its default"
            shown = ",".join(default) if isinstance(default, list) else str(default).lower()
            assert (said[1] or "").lower() == shown.lower(), name


def test_every_option_of_a_profile_is_documented() -> None:
    rows = table_rows(documented_settings()["KRA_SANDBOX_OPTIONS"])
    assert re.findall(r"[a-z_]+", " ".join(row[0] for row in rows)) == list(NAMES)


# Commands


def arguments(parser: ArgumentParser) -> Iterator[str]:
    """What a command takes, its actions' options and arguments included; not what every command of Django takes."""
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for name, of_action in action.choices.items():
                yield name
                yield from arguments(of_action)
        elif action.dest != "help" and not set(action.option_strings) & DjangoHelpFormatter.show_last:
            yield action.option_strings[-1] if action.option_strings else action.dest


def test_every_command_is_documented_with_all_its_options() -> None:
    ours = {name for name, app in get_commands().items() if str(app) == "gateway.ops"}
    documented = {name: text for name, text in sections(COMMANDS).items() if name in ours}
    headings = re.findall(r"^### `([a-z_]+)`$", read(COMMANDS), re.MULTILINE)
    assert sorted(headings) == sorted(ours)
    for name in ours:
        for label in arguments(load_command_class("gateway.ops", name).create_parser("manage.py", name)):
            assert f"`{label}`" in documented[name], f"{label} of {name} is not documented"


def test_all_periodic_work_is_documented_with_its_times() -> None:
    def words(when: When) -> str:
        if isinstance(when, Daily):
            return f"{when.at:%H:%M}"
        minutes = int(when.period.total_seconds()) // 60
        return "every minute" if minutes == 1 else f"every {minutes} minutes"

    rows = [(name, when) for name, when, _ in table_rows(sections(COMMANDS)["Periodic work"])]
    assert rows == [(work.__name__, words(when)) for when, work in SCHEDULE]


def test_every_make_target_is_documented() -> None:
    targets = set(re.findall(r"^(\w+):.* ## ", read("Makefile"), re.MULTILINE)) - {"help"}
    assert set(re.findall(r"`make (\w+)`", sections(COMMANDS)["make"])) - {"demo"} == targets - {"demo"}
    assert "`make demo`" in sections(COMMANDS)["make"]


# Words


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("Of an invoice", list(Invoice.Status.values)),
        ("Of a device", list(Device.Status.values)),
        ("Of an item", list(Outcome)),
        ("Of a company", list(Company.Status.values)),
        ("Of an API key", ["active", "rotated", "expired", "revoked"]),
    ],
)
def test_every_status_is_explained(section: str, words: list[str]) -> None:
    cells = " ".join(row[0] for row in table_rows(sections(STATUSES)[section]))
    assert set(re.findall(r"[a-z_]+", cells)) == set(words)


def test_the_list_of_problems_is_complete_and_in_the_order_of_the_code() -> None:
    rows = [(code, int(status)) for code, status, _ in table_rows(read(PROBLEM_PAGE).partition("\n## ")[0])]
    assert rows == [(code, kind.status) for code, kind in PROBLEMS.items()]


def codes_of_fields() -> set[str]:
    """Every code that the code can give to a field: where in each call it stands, and the tables that hold some."""
    places = {"Wrong": 1, "TaxInputError": 2, "PydanticCustomError": 0, "field": 1, "problem_field": 1, "RowProblem": 2}
    places |= {"CannotTake": 1, "NotCreditable": 0}
    found = {code for code, _ in [*WORDS.values(), *NOT_READABLE.values()]}
    for file in FILES_WITH_CODES:
        for node in ast.walk(ast.parse(read(file))):
            codes: list[ast.expr] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places:
                codes = node.args[places[node.func.id] :][:1]
            elif isinstance(node, ast.Yield | ast.Return) and isinstance(node.value, ast.Tuple):
                pair_or_three = 3 if isinstance(node, ast.Yield) else 2
                codes = node.value.elts[-2:-1] if len(node.value.elts) == pair_or_three else []
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
                codes = [node.value]
            for inner in (inner for code in codes for inner in ast.walk(code)):
                if isinstance(inner, ast.Constant) and re.fullmatch(r"[a-z]+(_[a-z]+)*", str(inner.value)):
                    found.add(str(inner.value))
    return found


def test_every_code_of_a_field_is_listed_and_none_that_does_not_exist() -> None:
    rows = table_rows(read(PROBLEM_PAGE).partition("\n## ")[2])
    listed = [code for row in rows for code in re.findall(r"[a-z_]+", row[0])]
    assert len(listed) == len(set(listed))
    differ = {f"{name}_differs" for name in ("item_class", "packaging_unit", "quantity_unit")}
    assert set(listed) == codes_of_fields() | differ


def test_every_means_of_payment_is_named() -> None:
    (row,) = [row for row in table_rows(read("docs/how-to/post-a-sale.md")) if "payment_method" in row[0]]
    assert re.findall(r"`([a-z_]+)`", row[1]) == [method.word for method in PaymentMethod]


def test_every_fault_switch_is_documented_with_parameters_that_it_has() -> None:
    rows = {row[0]: row[2] for row in table_rows(sections("docs/how-to/use-the-simulator.md")["Faults"])}
    assert list(rows) == list(KINDS)
    endings = {"close", "reset", "hang"}
    for name, cell in rows.items():
        cell = cell if cell.count("`") % 2 == 0 else f"{cell}`" if not cell.endswith("`") else f"`{cell}"
        assert set(re.findall(r"`(\w+)`", cell)) - endings <= set(KINDS[name].parameters), name


# Arithmetic


def line_of(letter: str, quantity: str, price: str, percent: str = "0", profile: str = "inclusive_net_base") -> Any:
    line = LineIn(Decimal(quantity), Decimal(price), TaxClass(letter), Decimal(percent))
    return figures([line], rates=DEFAULT_RATES, profile=AmountProfile(profile), prices_include_tax=True).lines[0]


def test_the_test_vectors_hold() -> None:
    rows = table_rows(sections(TAX)["Test vectors"])
    assert len(rows) == 7
    for letter, quantity, price, percent, *amounts in rows:
        line = line_of(letter, quantity, price, percent)
        assert [line.supply, line.discount, line.total, line.taxable, line.tax] == list(map(Decimal, amounts))


def test_the_three_profiles_give_the_amounts_of_the_table() -> None:
    rows = table_rows(sections(TAX)["Three profiles"])
    assert [row[0].split("`")[0] for row in rows] == [profile.value for profile in AmountProfile]
    for name, *amounts in rows:
        line = line_of("B", "3", "19.99", profile=name.split("`")[0])
        assert [line.unit_price, line.supply, line.taxable, line.tax, line.total] == list(map(Decimal, amounts))


def test_the_rounding_trap_is_as_described() -> None:
    for (_, *amounts), (count, price) in zip(
        table_rows(sections(TAX)["The rounding trap"]), [(3, "33.33"), (1, "99.99")], strict=True
    ):
        lines = [LineIn(Decimal(1), Decimal(price), TaxClass.STANDARD)] * count
        sums = figures(lines, rates=DEFAULT_RATES, profile=AmountProfile.INCLUSIVE_NET_BASE, prices_include_tax=True)
        assert [sum(sums.net.values()), sums.total_tax, sums.total] == list(map(Decimal, amounts))
