"""The control side, for tests and demonstrations: ``/_sim/…``, and the page a QR code opens.

All times in answers are ISO 8601 in Nairobi time; money is text with 2 decimals.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.simulator.clock import iso
from gateway.simulator.faults import KINDS, Faults, RuleIn
from gateway.simulator.ledger import INVOICES
from gateway.simulator.pages import PARTS, console
from gateway.simulator.receipts import receipt_page
from gateway.simulator.seeding import seed_country, seed_taxpayer
from gateway.simulator.serving import Late
from gateway.simulator.tables import RECEIPT_PATH
from gateway.simulator.units import catch_up
from gateway.simulator.world import Device, World

STATIC: Final = Path(__file__).resolve().parent / "static"
_SAFE: Final = {"content-security-policy": "default-src 'self'; frame-ancestors 'none'"}
_OUT: Final = msgspec.json.Encoder(decimal_format="number")

T = TypeVar("T")
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


class DeviceIn(msgspec.Struct, forbid_unknown_fields=True):
    """A serial that KRA approves for a branch."""

    pin: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]\d{9}[A-Z]$")]
    serial: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    branch: Annotated[str, msgspec.Meta(pattern=r"^\d{2}$")] = "00"
    kind: Literal["oscu", "vscu"] = "oscu"
    name: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    address: Annotated[str, msgspec.Meta(max_length=100)] | None = None


class ClockIn(msgspec.Struct, forbid_unknown_fields=True):
    """Where to put the virtual clock: a moment, or so much further on."""

    now: datetime | None = None
    advance_seconds: Decimal | None = None


def answer(content: Any, status: int = 200) -> Response:
    return Response(_OUT.encode(content), status_code=status, media_type="application/json")


def refused(message: str, status: int = 422) -> Response:
    return answer({"error": message}, status)


async def body_of(request: Request, shape: type[T]) -> T:
    """The request body in that shape. Raises msgspec.DecodeError, or its ValidationError."""
    return msgspec.json.decode(await request.body() or b"{}", type=shape)


def control_app(world: World, faults: Faults, late: Late) -> Starlette:
    """All control routes over one world."""
    ledger = world.ledger

    async def approve(request: Request) -> Response:
        wanted = await body_of(request, DeviceIn)
        known = world.devices.get(wanted.serial)
        if known is not None and (known.branch.pin, known.branch.code, known.kind) != (
            wanted.pin,
            wanted.branch,
            wanted.kind,
        ):
            return refused(f"serial {wanted.serial} is already approved for another branch or kind", 409)
        device = world.approve(
            pin=wanted.pin, branch=wanted.branch, serial=wanted.serial, kind=wanted.kind, name=wanted.name,
            address=wanted.address,
        )  # fmt: skip
        if world.settings.seeded:
            seed_taxpayer(world, wanted.pin)
        await ledger.committed()
        return answer(device_row(device))

    async def devices(request: Request) -> Response:
        return answer([device_row(device) for device in world.devices.values()])

    async def recorded(request: Request) -> Response:
        catch_up(world, faults)
        await ledger.committed()
        return answer(ledger_rows(world, request.query_params))

    async def requests(request: Request) -> Response:
        await ledger.committed()
        return answer(request_rows(world, request.query_params))

    async def move_clock(request: Request) -> Response:
        wanted = await body_of(request, ClockIn)
        if (wanted.now is None) == (wanted.advance_seconds is None):
            return refused("give either now or advance_seconds")
        if wanted.now is not None:
            world.clock.set(wanted.now)
        elif wanted.advance_seconds is not None:
            world.clock.advance(round(wanted.advance_seconds * 1000))
        world.save_clock()
        late.wake()
        catch_up(world, faults)
        await ledger.committed()
        return answer(clock_row(world))

    async def read_clock(request: Request) -> Response:
        return answer(clock_row(world))

    async def settings(request: Request) -> Response:
        return answer(world.settings)

    async def change_settings(request: Request) -> Response:
        world.change_settings(await request.body())
        await ledger.committed()
        return answer(world.settings)

    async def reset(request: Request) -> Response:
        while not ledger.is_idle:
            await ledger.committed()
        ledger.empty()
        world.load()
        seed_country(world)
        faults.load()
        late.load()
        late.wake()
        await ledger.committed()
        return answer({"reset": True})

    async def health(request: Request) -> Response:
        return answer({
            "status": "ok", "simulated": True, "now": iso(world.clock.now_ms()), "strict": world.settings.strict,
            "profile": world.settings.profile, "documents": ledger.next_document - 1,
            "requests": ledger.next_request - 1,
            "commits": ledger.commits,
        })  # fmt: skip

    async def switch_on(request: Request) -> Response:
        rule = faults.switch_on(await body_of(request, RuleIn), world.clock.now_ms())
        await ledger.committed()
        return answer(rule.shown(world.clock.now_ms()), 201)

    async def list_faults(request: Request) -> Response:
        now = world.clock.now_ms()
        kinds = [
            {"name": kind.name, "phase": kind.phase, "says": kind.says, "parameters": kind.parameters}
            for kind in KINDS.values()
        ]
        return answer({"faults": [rule.shown(now) for rule in faults.rules], "known": kinds})

    async def switch_off(request: Request) -> Response:
        one = request.path_params.get("id")
        removed = faults.switch_off(None if one is None else (one,))
        catch_up(world, faults)
        await ledger.committed()
        return answer({"removed": removed}, 200 if removed or one is None else 404)

    async def receipt(request: Request) -> Response:
        catch_up(world, faults)
        await ledger.committed()
        status, page = receipt_page(world, request.query_params.get("Data", ""))
        return HTMLResponse(page, status, headers=_SAFE)

    async def page(request: Request) -> Response:
        return HTMLResponse(console(world, faults), headers=_SAFE)

    async def part(request: Request) -> Response:
        show = PARTS.get(request.path_params["name"])
        return refused("no such part", 404) if show is None else HTMLResponse(show(world, faults))

    routes = [
        Route("/", page, methods=["GET"]),
        Route("/_sim/", page, methods=["GET"]),
        Route("/_sim/parts/{name}", part, methods=["GET"]),
        Route("/_sim/devices", guarded(approve), methods=["POST"]),
        Route("/_sim/devices", guarded(devices), methods=["GET"]),
        Route("/_sim/ledger", guarded(recorded), methods=["GET"]),
        Route("/_sim/requests", guarded(requests), methods=["GET"]),
        Route("/_sim/faults", guarded(switch_on), methods=["POST"]),
        Route("/_sim/faults", guarded(list_faults), methods=["GET"]),
        Route("/_sim/faults", guarded(switch_off), methods=["DELETE"]),
        Route("/_sim/faults/{id:int}", guarded(switch_off), methods=["DELETE"]),
        Route("/_sim/clock", guarded(move_clock), methods=["POST"]),
        Route("/_sim/clock", guarded(read_clock), methods=["GET"]),
        Route("/_sim/settings", guarded(settings), methods=["GET"]),
        Route("/_sim/settings", guarded(change_settings), methods=["POST"]),
        Route("/_sim/reset", guarded(reset), methods=["POST"]),
        Route("/_sim/health", guarded(health), methods=["GET"]),
        Route(RECEIPT_PATH, receipt, methods=["GET"]),
        Mount("/_sim/static", StaticFiles(directory=STATIC)),
    ]
    return Starlette(routes=routes)


def guarded(endpoint: Endpoint) -> Endpoint:
    """Turn a body of the wrong shape into a plain 422."""

    async def run(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (msgspec.DecodeError, ValueError) as error:
            return refused(str(error))

    return run


def device_row(device: Device) -> dict[str, Any]:
    branch = device.branch
    return {
        "pin": branch.pin, "branch": branch.code, "serial": device.serial, "kind": device.kind,
        "initialized": device.activated_at is not None, "control_unit": device.unit, "machine": device.machine,
        "receipts": device.receipts, "next_invoice": branch.next_invoice, "next_purchase": branch.next_purchase,
        "next_stock": branch.next_stock, "unsent": branch.unsent if device.kind == "vscu" else 0,
        "last_contact": iso(device.last_contact) if device.last_contact else None,
    }  # fmt: skip


def clock_row(world: World) -> dict[str, Any]:
    return {"now": iso(world.clock.now_ms()), "offset_seconds": Decimal(world.clock.offset_ms) / 1000}


def ledger_rows(world: World, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """What KRA recorded, oldest first. ``kind`` names one kind or ``all``; without it sales and credit notes."""
    names = {branch.id: branch for branch in world.branches.values()}
    wanted = query.get("kind")
    kinds = INVOICES if wanted is None else (wanted,)
    where = "known_at IS NOT NULL" + ("" if wanted == "all" else f" AND kind IN ({','.join('?' * len(kinds))})")
    parameters: list[Any] = [] if wanted == "all" else list(kinds)
    chosen = [
        branch.id for branch in names.values()
        if branch.pin == query.get("pin", branch.pin) and branch.code == query.get("branch", branch.code)
    ]  # fmt: skip
    if "pin" in query or "branch" in query:
        where += f" AND branch_id IN ({','.join('?' * len(chosen))})"
        parameters += chosen
    where += " AND documents.id > ? ORDER BY documents.id LIMIT ?"
    parameters += [int(query.get("after", 0)), int(query.get("limit", -1))]
    rows = []
    for found in world.ledger.documents(where, parameters):
        branch = names[found.branch_id]
        rows.append({
            "id": found.id, "pin": branch.pin, "branch": branch.code, "number": found.number, "kind": found.kind,
            "reference": found.reference, "total": found.total, "original": found.original,
            "receipt_number": found.receipt_number, "signature": found.signature, "internal_data": found.internal_data,
            "signed_at": found.signed_at, "recorded_at": iso(found.recorded_at), "flavour": found.flavour,
            "origin": found.origin, "request_id": found.request_id, "body": msgspec.Raw(found.body or b"null"),
        })  # fmt: skip
    return rows


def request_rows(world: World, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Requests as they came, oldest first: the body as text, or base64 where it is not UTF-8."""
    where, parameters = ["id > ?"], [int(query.get("after", 0))]
    chosen: list[Any] = list(parameters)
    for name in ("pin", "branch", "operation", "flavour"):
        if name in query:
            where.append(f"{name} = ?")
            chosen.append(query[name])
    chosen.append(int(query.get("limit", -1)))
    rows = []
    for row in world.ledger.stream(f"SELECT * FROM requests WHERE {' AND '.join(where)} ORDER BY id LIMIT ?", chosen):
        try:
            body = {"body": row["body"].decode()}
        except UnicodeDecodeError:
            body = {"body_base64": b64encode(row["body"]).decode()}
        headers = [line.decode("latin-1").split(": ", 1) for line in row["headers"].split(b"\n") if line]
        rows.append({
            "id": row["id"], "at": iso(row["at"]), "method": row["method"], "path": row["path"], "headers": headers,
            **body,
            "flavour": row["flavour"], "operation": row["operation"], "pin": row["pin"], "branch": row["branch"],
            "status": row["status"], "code": row["code"], "faults": row["faults"].split(",") if row["faults"] else [],
        })  # fmt: skip
    return rows
