"""The simulator's own page: what KRA recorded, the fault switches, the clock. For people; tests use the JSON beside it.

The whole page comes from here; a small script only refreshes parts of it and sends the forms.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, Final

from gateway.simulator.clock import iso
from gateway.simulator.faults import KINDS, Faults, Kind
from gateway.simulator.settings import PROFILES
from gateway.simulator.tables import RECEIPT_PATH, operations
from gateway.simulator.world import World

_SHOWN: Final = 40  # documents and requests on the page

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Simulated KRA</title><link rel="stylesheet" href="/_sim/static/console.css">
<link rel="icon" href="/_sim/static/icon.svg">
<script src="/_sim/static/console.js" defer></script></head>
<body><a class="skip" href="#ledger">Skip to the ledger</a>
<header><h1>Simulated KRA</h1>
<p class="warning" role="note"><strong>SIMULATED.</strong> Nothing signed here is a receipt.</p></header>
<p id="message" role="status"></p>
<main>{sections}</main></body></html>
"""


def console(world: World, faults: Faults) -> str:
    """The page."""
    sections = (
        _section("clock", "Clock", PARTS["clock"](world, faults), _clock_form()),
        _section("faults", "Faults", PARTS["faults"](world, faults), _fault_form()),
        _section("ledger", "What KRA recorded", PARTS["ledger"](world, faults)),
        _section("requests", "Requests", PARTS["requests"](world, faults)),
        _section("devices", "Devices", PARTS["devices"](world, faults), _device_form()),
        _section("settings", "Strictness", PARTS["settings"](world, faults), _settings_form(world)),
    )
    return _PAGE.format(sections="".join(sections))


def _section(name: str, title: str, part: str, form: str = "") -> str:
    heading = f'<h2 id="{name}-title">{title}</h2>'
    body = f'<div class="part" data-part="{name}">{part}</div>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{body}{form}</section>'


def _clock(world: World, faults: Faults) -> str:
    now = iso(world.clock.now_ms())
    away = world.clock.offset_ms // 1000
    note = "the real time" if not away else f"{abs(away):,} s {'ahead of' if away > 0 else 'behind'} the real time"
    return f'<p><time datetime="{now}">{now[:10]} {now[11:19]}</time> in Nairobi, {note}</p>'


def _faults(world: World, faults: Faults) -> str:
    if not faults.rules:
        return "<p>None is on: KRA behaves.</p>"
    now = world.clock.now_ms()
    rows = []
    for rule in faults.rules:
        where = " ".join(filter(None, (rule.pin, rule.branch and f"branch {rule.branch}"))) or "everybody"
        often = f"{rule.used} of {rule.times}" if rule.times is not None else "until removed"
        if rule.until is not None:
            often = f"until {iso(rule.until)[11:19]}"
        label = f"Remove {escape(rule.fault)} {rule.id}"
        rows.append([
            f"<strong>{escape(rule.fault)}</strong>{'' if rule.is_on(now) else ' (used up)'}", escape(rule.operation),
            escape(where), often, f'<button type="button" data-remove="{rule.id}" aria-label="{label}">Remove</button>',
        ])  # fmt: skip
    return _table("Faults, on and used up", ("Fault", "Operation", "For", "Times", "Off"), rows)


def _ledger(world: World, faults: Faults) -> str:
    names = {branch.id: branch for branch in world.branches.values()}
    found = world.ledger.documents("documents.id > 0 ORDER BY documents.id DESC LIMIT ?", (_SHOWN,))
    if not found:
        return "<p>Nothing yet.</p>"
    rows = []
    for one in found:
        branch = names[one.branch_id]
        number = str(one.number or "")
        if one.signature and one.known_at is not None:
            link = f"{RECEIPT_PATH}?Data={branch.pin}{branch.code}{one.signature}"
            number = f'<a href="{escape(link)}">{number}</a>'
        state = "" if one.known_at is not None else " (in the VSCU)"
        origin = "" if one.origin == "caller" else f" ({escape(one.origin)})"
        rows.append([
            iso(one.recorded_at)[11:19], f"{branch.pin} {branch.code}",
            one.kind.replace("_", " ") + state + origin, number,
            escape(one.reference), one.total, escape(one.signature or ""),
        ])  # fmt: skip
    heads = ("Time", "Taxpayer", "Kind", "Number", "Reference", "Total", "Signature")
    return _table(f"The last {len(rows)} of {world.ledger.next_document - 1:,}", heads, rows)


def _requests(world: World, faults: Faults) -> str:
    found = world.ledger.rows(
        "SELECT at, flavour, operation, pin, branch, status, code, faults FROM requests ORDER BY id DESC LIMIT ?",
        (_SHOWN,),
    )
    if not found:
        return "<p>Nobody has called yet.</p>"
    rows = [
        [
            iso(row["at"])[11:19], escape(row["flavour"]), escape(row["operation"]),
            escape(f"{row['pin']} {row['branch']}"[:40]), str(row["status"] or "none"), escape(row["code"] or ""),
            escape(row["faults"] or ""),
        ]
        for row in found
    ]  # fmt: skip
    heads = ("Time", "Flavour", "Operation", "Taxpayer", "HTTP", "Code", "Faults")
    return _table(f"The last {len(rows)} of {world.ledger.next_request - 1:,}", heads, rows)


def _devices(world: World, faults: Faults) -> str:
    if not world.devices:
        return "<p>No serial is approved yet.</p>"
    rows = []
    for device in list(world.devices.values())[-_SHOWN:]:
        branch = device.branch
        state = "initialized" if device.activated_at is not None else "approved"
        waiting = f", {branch.unsent} unsent" if device.kind == "vscu" and branch.unsent else ""
        rows.append([
            escape(device.serial), device.kind.upper(), f"{branch.pin} {branch.code}", state + waiting, device.unit,
            str(branch.next_invoice),
        ])  # fmt: skip
    heads = ("Serial", "Kind", "Taxpayer", "State", "Control unit", "Next number")
    return _table(f"{len(world.devices):,} devices", heads, rows)


def _settings(world: World, faults: Faults) -> str:
    chosen = world.settings
    rates = ", ".join(f"{letter} {rate:f} %" for letter, rate in sorted(chosen.rates.items()))
    manner = f"Strict, amounts {chosen.profile}" if chosen.strict else "Lenient"
    return f"<p>{manner}. Rates: {rates}.</p>"


PARTS: Final[dict[str, Callable[[World, Faults], str]]] = {
    "clock": _clock,
    "faults": _faults,
    "ledger": _ledger,
    "requests": _requests,
    "devices": _devices,
    "settings": _settings,
}


def _table(caption: str, heads: tuple[str, ...], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(heads, row, strict=True)) + "</tr>"
        for row in rows
    )
    table = f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{caption}">{table}</div>'


def _clock_form() -> str:
    steps = ((60, "1 minute"), (3600, "1 hour"), (86_400, "1 day"), (7 * 86_400, "1 week"))
    buttons = "".join(f'<button type="button" data-advance="{seconds}">+ {name}</button>' for seconds, name in steps)
    return (
        f'<div class="row">{buttons}</div><form data-send="/_sim/clock" class="row">'
        '<label>Set to <input type="datetime-local" name="now" step="1" required></label>'
        "<button>Set the clock</button></form>"
    )


def _fault_form() -> str:
    kinds = "".join(f'<option value="{kind.name}">{kind.name.replace("_", " ")}</option>' for kind in KINDS.values())
    names = "".join(f'<option value="{name}">{name.replace("_", " ")}</option>' for name in ("*", *operations()))
    sets = "".join(_parameters(kind) for kind in KINDS.values())
    return (
        '<form data-send="/_sim/faults" class="grid">'
        f'<label>Fault <select name="fault">{kinds}</select></label>'
        f'<label>Operation <select name="operation">{names.replace(">*<", ">every operation<")}</select></label>'
        '<label>PIN <input name="pin" placeholder="everybody" autocomplete="off" maxlength="11"></label>'
        '<label>Branch <input name="branch" placeholder="all" autocomplete="off" maxlength="2" size="4"></label>'
        '<label>Times <input name="times" type="number" min="1" placeholder="until removed"></label>'
        '<label>Seconds <input name="for_seconds" type="number" min="1" placeholder="of virtual time"></label>'
        f'{sets}<div class="row"><button>Switch on</button>'
        '<button type="button" data-remove="all">Remove all faults</button></div></form>'
    )


def _parameters(kind: Kind) -> str:
    fields = "".join(
        f'<label>{name.replace("_", " ")} <input name="parameters.{name}" data-type="{type(value).__name__}" '
        f'placeholder="{escape(_shown(value))}"></label>'
        for name, value in kind.parameters.items()
    )
    return f'<fieldset data-fault="{kind.name}"><legend>{escape(kind.says)}</legend>{fields}</fieldset>'


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false, default " + str(value).lower()
    return "the usual" if value is None else str(value)


def _device_form() -> str:
    return (
        '<form data-send="/_sim/devices" class="grid">'
        '<label>PIN <input name="pin" required pattern="[A-Z][0-9]{9}[A-Z]" maxlength="11" autocomplete="off"></label>'
        '<label>Branch <input name="branch" value="00" required pattern="[0-9]{2}" maxlength="2" size="4"></label>'
        '<label>Serial <input name="serial" required maxlength="100" autocomplete="off"></label>'
        '<label>Kind <select name="kind"><option value="oscu">OSCU</option>'
        '<option value="vscu">VSCU</option></select></label>'
        '<label>Name <input name="name" maxlength="60" autocomplete="off"></label>'
        '<div class="row"><button>Approve the serial</button></div></form>'
    )


def _settings_form(world: World) -> str:
    chosen = {world.settings.profile: " selected"}
    profiles = "".join(
        f'<option value="{name}"{chosen.get(name, "")}>{name.replace("_", " ")}</option>' for name in PROFILES
    )
    strict = " selected" if world.settings.strict else ""
    lenient = "" if world.settings.strict else " selected"
    return (
        '<form data-send="/_sim/settings" class="row">'
        f'<label>Manner <select name="strict" data-type="bool"><option value="true"{strict}>strict</option>'
        f'<option value="false"{lenient}>lenient</option></select></label>'
        f'<label>Amounts <select name="profile">{profiles}</select></label><button>Keep</button></form>'
        '<div class="row"><button type="button" class="danger" data-reset>Forget everything</button></div>'
    )
