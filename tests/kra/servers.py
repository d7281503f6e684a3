"""Small real servers that answer as KRA's hosts do, and break as networks do. Nothing in the product knows them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Writer = asyncio.StreamWriter


@dataclass
class Request:
    """One request as it came over the socket."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What to send back. Without a status the connection is closed, reset or left hanging instead."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False
    reset: bool = False
    hang: bool = False
    cut: int = 0  # promise this many bytes more than are sent, then close


def answered(code: str = "000", data: Any = None, message: str = "Successful", **more: Any) -> Answer:
    """The plain envelope."""
    envelope = {"resultCd": code, "resultMsg": message, "resultDt": "20260301101530", "data": data, **more}
    return Answer(body=json.dumps(envelope).encode())


def wrapped(code: str = "000", data: Any = None, status: int = 200) -> Answer:
    """The envelope of GavaConnect around the plain one."""
    inner = json.loads(answered(code, data).body)
    header = {"responseCode": 200, "responseRefID": "1", "customerMessage": "Success", "debugMessage": "Success"}
    return Answer(status, json.dumps({"responseHeader": header, "responseBody": inner}).encode())


def refused(message: str, *, inner: int | str = 400, status: int = 400) -> Answer:
    """GavaConnect's refusal: all it says is in the header."""
    header = {"responseCode": inner, "responseRefID": "1", "customerMessage": message, "debugMessage": message}
    return Answer(status, json.dumps({"responseHeader": header, "responseBody": None}).encode())


def fault(text: str, code: str = "", status: int = 500) -> Answer:
    """The fault of KRA's API gateway."""
    detail = {"faultstring": text, "detail": {"errorcode": code}}
    return Answer(status, json.dumps({"fault": detail}).encode())


class TinyServer:
    """Answers each request with what `reply` says; remembers every request."""

    def __init__(self, reply: Callable[[Request], Answer | Awaitable[Answer]]) -> None:
        self.reply = reply
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: Writer) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, target, headers, body)
        self.requests.append(request)
        found = self.reply(request)
        answer = found if isinstance(found, Answer) else await found
        if answer.hang:
            await reader.read()  # until the client gives up
            return False
        if answer.reset:
            writer.transport.abort()
            return False
        if answer.close:
            return False
        length = len(answer.body) + answer.cut
        lines = [f"HTTP/1.1 {answer.status} X", f"Content-Length: {length}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
        await writer.drain()
        return not answer.cut


@asynccontextmanager
async def serving(reply: Callable[[Request], Answer | Awaitable[Answer]]) -> AsyncIterator[TinyServer]:
    """A server on a free port of the loopback, closed with every connection afterwards."""
    tiny = TinyServer(reply)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await tiny.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    tiny.port = server.sockets[0].getsockname()[1]
    try:
        yield tiny
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
