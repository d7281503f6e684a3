"""Read a request's body before a thread is taken for it: a slow sender must not hold one of Django's few threads."""

import asyncio
from collections.abc import Callable

import msgspec
from django.conf import settings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api import headers
from gateway.api.problems import CONTENT_TYPE, document
from gateway.catalog.sheets import MOST_FILE_BYTES

MOST_SECONDS = 15.0
FILE_SECONDS = 120.0
FILES_AT_ONCE = 4  # of those that are over 1 MB, each is in memory until it is stored
LARGER = {"/api/items/uploads/": MOST_FILE_BYTES + 10_000}  # the form around the file needs a little more


def most_bytes(path: str) -> int:
    """How long the body of a request to a path may be."""
    return LARGER.get(path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def too_large(path: str) -> str:
    """What to say about a body that is longer than that."""
    return f"A file may have at most {MOST_FILE_BYTES >> 20} MB." if path in LARGER else "A request has at most 1 MB."


def too_slow(seconds: float) -> str:
    """What to say about a body that did not come in time."""
    return f"The body did not arrive within {seconds:.0f} seconds."


async def read_body(receive: Receive, *, most: int, seconds: float) -> bytes | None:
    """A request's body, or its beginning when it is longer than that; None when the caller went away.

    Raises TimeoutError when it does not come.
    """
    chunks: list[bytes] = []
    size = 0
    async with asyncio.timeout(seconds):
        while size <= most:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if not message.get("more_body", False):
                break
    return b"".join(chunks)


class WholeBodies:
    """Hands a request on when its body is there, whole and with its length (RFC 9112 §7.1 allows bodies without)."""

    def __init__(self, app: ASGIApp, *, most_bytes: Callable[[str], int]) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._files = asyncio.Semaphore(FILES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in LARGER and scope["method"] == "POST":
            async with self._files:
                await self._hand_on(scope, receive, send, FILE_SECONDS)
        else:
            await self._hand_on(scope, receive, send, MOST_SECONDS)

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        most = self._most_bytes(scope["path"])
        try:
            body = await read_body(receive, most=most, seconds=seconds)
        except TimeoutError:
            await refuse(scope, send, "too_slow", too_slow(seconds))
            return
        if body is None:
            return  # the caller went away
        if len(body) > most:
            await refuse(scope, send, "too_large", too_large(scope["path"]))
            return
        kept = [header for header in scope["headers"] if header[0] not in (b"content-length", b"transfer-encoding")]
        scope = {**scope, "headers": [*kept, (b"content-length", str(len(body)).encode())]}
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def given() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, given, send)


async def refuse(scope: Scope, send: Send, code: str, detail: str, told: dict[str, str] | None = None) -> None:
    """Answer a request with a problem before anybody has read it; `told` are headers more. The connection is closed."""
    sent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), None)
    made = document(code, detail, system_url=settings.SYSTEM_URL, request_id=headers.request_id(sent))
    body = msgspec.json.encode(made)
    sent_headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", made["request_id"].encode()),
        (b"connection", b"close"),
        *((name.lower().encode(), value.encode()) for name, value in (told or {}).items()),
    ]
    await send({"type": "http.response.start", "status": made["status"], "headers": sent_headers})
    await send({"type": "http.response.body", "body": body})
