"""Log lines: JSON for machines, plain text for people, and in both no key, token or password.

What a line is about (request_id, invoice, lane) is bound where the work starts and stands on every line that is written
under it, also on those of libraries.
"""

import base64
import logging
import re
import uuid
from functools import cache

import structlog
from django.conf import settings
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.lib.masking import MASK, masked
from gateway.lib.origin import Origin, came_from

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def without_secrets(text: str) -> str:
    """The text with everything masked that looks like a key, a token or a password, or is one of this installation."""
    for secret in _own_secrets():
        text = text.replace(secret, MASK)
    return masked(text)


def formatter(*, as_json: bool) -> logging.Formatter:
    """What LOGGING in the settings names: one line a record, its time in UTC."""
    before: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    if as_json:
        rendering: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        rendering = [
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback, timestamp_key="at"
            )
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering, _mask],
    )


class RequestIds:
    """Gives every HTTP request its id before anybody sees it, and puts it on every log line and event of the request.

    The caller's own `X-Request-Id` is taken when it is 1 to 64 plain characters.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        if not _REQUEST_ID.fullmatch(sent):
            sent = uuid.uuid4().hex.encode()
            kept = [header for header in scope["headers"] if header[0] != b"x-request-id"]
            scope = {**scope, "headers": [*kept, (b"x-request-id", sent)]}
        address = scope["client"][0] if scope.get("client") else ""
        asked = Origin(address=address[:45], request_id=sent.decode())
        with bound_contextvars(request_id=asked.request_id), came_from(asked):
            await self._app(scope, receive, send)


def _mask(logger: WrappedLogger, method: str, line: EventDict | str) -> str:
    """The last step, on the finished line: tracebacks and nested values are masked too."""
    return without_secrets(str(line))


@cache
def _own_secrets() -> tuple[str, ...]:
    keys = [base64.b64encode(key).decode() for key in settings.ENCRYPTION_KEYS]
    known = [settings.SECRET_KEY, *keys, settings.EMAIL_HOST_PASSWORD, settings.METRICS_TOKEN]
    known += [settings.KRA_APP_CONSUMER_KEY, settings.KRA_APP_CONSUMER_SECRET, settings.KRA_APP_ID]
    known += [database.get("PASSWORD") or "" for database in settings.DATABASE_ROLES.values()]
    return tuple(secret for secret in known if len(secret) >= 8)
