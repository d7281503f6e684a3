"""Notes every call to the API as it passes: how it was answered, how long it took, from where."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit.calls import Call, CallLog
from gateway.lib.clock import utc_now
from gateway.lib.origin import origin

PREFIX = "/api/"


class Calls:
    """Whoever answers fills in whose key it was and what it was about (`lib.origin`); the rest is seen from here."""

    def __init__(self, app: ASGIApp, log: CallLog) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        at, began, status = utc_now(), time.monotonic(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            asked = origin()
            self._log.add(
                Call(
                    company_id=asked.company_id,
                    environment=asked.environment,
                    at=at,
                    method=scope["method"][:10],
                    path=scope["path"],
                    status=status or 499,  # the caller went away before it was answered
                    code=asked.code,
                    duration_ms=int((time.monotonic() - began) * 1000),
                    key_prefix=asked.key_prefix,
                    address=asked.address,
                    request_id=asked.request_id,
                    subject=asked.subject,
                )
            )
