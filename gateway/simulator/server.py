"""The process: which path leads to which door, starting, stopping.

One event loop owns the world; ``uvicorn`` with ``uvloop`` and ``httptools`` speaks HTTP. KRA's paths are found in a
plain table; the control side and the pages are a Starlette application beside it.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.lib.memory import keep_loaded
from gateway.simulator.control import control_app
from gateway.simulator.door import Received, log_request
from gateway.simulator.faults import Faults
from gateway.simulator.gavaconnect import issue_token, no_such_route
from gateway.simulator.ledger import Ledger
from gateway.simulator.seeding import seed_country
from gateway.simulator.serving import Exchange, Serving
from gateway.simulator.tables import FLAVOURS, PREFIXES, TOKEN_PATHS, operations, paths_of
from gateway.simulator.world import World

Message = MutableMapping[str, Any]
SWITCH_SECONDS: Final = 0.0005  # the commit thread must get the interpreter lock soon after the disk answers


class Simulator:
    """The ASGI application."""

    def __init__(self, world: World, flavour: str) -> None:
        self.world = world
        self.faults = Faults(world.ledger, world.seed)
        self.serving = Serving(world, self.faults)
        self.routes = routes_of(flavour)
        self.has_gateway = flavour in ("all", "gavaconnect")
        self.control = control_app(world, self.faults, self.serving.late)

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        route = self.routes.get(path)
        if route is not None:
            received = await receive_all(scope, receive, *route)
            await self.serving.serve(received, Exchange(receive, send, scope.get("transport")))
        elif self.has_gateway and (path in TOKEN_PATHS or path.startswith(PREFIXES["gavaconnect"])):
            await self._gateway(scope, receive, send)
        else:
            await self.control(scope, receive, send)

    async def _gateway(self, scope: Message, receive: Any, send: Any) -> None:
        """What the API gateway answers by itself: a token, or that it knows no such path."""
        world, is_token = self.world, scope["path"] in TOKEN_PATHS
        received = await receive_all(scope, receive, "gavaconnect", "token" if is_token else "unknown")
        if is_token:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            reply = issue_token(world, received.header(b"authorization"), query)
        else:
            reply = no_such_route(received.path)
        log_request(world, received, world.clock.now_ms(), world.ledger.take_request_id(), {}, reply, ())
        await world.ledger.committed()
        await Exchange(receive, send, None).answer(reply)


async def receive_all(scope: Message, receive: Any, flavour: str, operation: str) -> Received:
    """The request, its body complete."""
    headers = tuple(map(tuple, scope["headers"]))
    return Received(flavour, operation, scope["method"], scope["path"], headers, await read_body(receive))


def routes_of(flavour: str) -> dict[str, tuple[str, str]]:
    """Path to (flavour, operation). One flavour alone is also served where the real one is."""
    chosen = FLAVOURS if flavour == "all" else (flavour,)
    found = {}
    for name in chosen:
        beside, real = PREFIXES[name]
        for operation in operations().values():
            for path in paths_of(operation, name):
                found[beside + path] = (name, operation.id)
                if flavour != "all":
                    found[real + path] = (name, operation.id)
    return found


async def read_body(receive: Any) -> bytes:
    """The whole request body. A caller that hangs up early has still sent what it sent."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


class _Protocol(HttpToolsProtocol):
    """Lets the application reach the connection, so that a fault can break it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class _Server(uvicorn.Server):
    """Says where it listens, in one line, when it does; takes up what an earlier run left unfinished."""

    def __init__(self, config: uvicorn.Config, simulator: Simulator) -> None:
        super().__init__(config)
        self.simulator = simulator

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.simulator.serving.late.wake()
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        sys.stdout.write(f"simulator ready on http://{host}:{port}\n")
        sys.stdout.flush()


def run(
    *,
    port: int,
    state: Path,
    flavour: str = "all",
    strict: bool = True,
    host: str = "127.0.0.1",
    seed: int | None = None,
) -> None:
    """Serve until interrupted. Port 0 takes a free one. ``seed`` makes keys, signatures and random faults
    repeatable.
    """
    if flavour != "all" and flavour not in FLAVOURS:
        raise ValueError(f"unknown flavour {flavour!r}")
    sys.setswitchinterval(SWITCH_SECONDS)
    ledger = Ledger(state)
    world = World(ledger, seed=seed, strict=strict)
    seed_country(world)
    ledger.write_now()
    keep_loaded()  # the country stays
    simulator = Simulator(world, flavour)
    config = uvicorn.Config(
        simulator, host=host, port=port, loop="uvloop", http=_Protocol, ws="none", lifespan="off",
        access_log=False, log_level="warning", server_header=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        _Server(config, simulator).run()
    ledger.close()
