"""The one application: hot routes on the engine's loop, all else Django behind a small pool of threads."""

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

django = get_wsgi_application()  # loads the apps, so what follows may import models

from gateway.api.bodies import WholeBodies, most_bytes  # noqa: E402
from gateway.api.door import Door, Limits  # noqa: E402
from gateway.api.health import Probe, health_routes  # noqa: E402
from gateway.api.hot import hot_routes, wrong_method  # noqa: E402
from gateway.audit.calls import CallLog  # noqa: E402
from gateway.ops.calls import Calls  # noqa: E402
from gateway.ops.chores import carrying_chores  # noqa: E402
from gateway.ops.logs import RequestIds, without_secrets  # noqa: E402
from gateway.ops.metrics import Metrics  # noqa: E402
from gateway.ops.pages import Pages  # noqa: E402
from gateway.ops.scheduler import Scheduler  # noqa: E402
from gateway.wiring import SCHEDULE, running_till  # noqa: E402

DJANGO_THREADS = 4  # with 8 a busy Django slowed the hot routes (p99 1.4 to 46 ms)

Endpoint = Callable[[Request], Awaitable[Response]]

EXPOSED = ["Location", "Retry-After", "Idempotency-Replayed", "X-Request-Id", "RateLimit", "RateLimit-Policy"]


class Application:
    """Hot routes exist only while the engine runs, so they are built when the application starts."""

    def __init__(self) -> None:
        self._calls = CallLog(mask=without_secrets)
        self._starlette = Starlette(lifespan=self._lifespan, exception_handlers={405: wrong_method})
        self._posts: dict[str, Endpoint] = {}  # by path
        self._limits = Limits(
            key=settings.LIMIT_PER_KEY,
            address=settings.LIMIT_PER_ADDRESS,
            wrong=settings.LIMIT_WRONG_KEYS,
            redis_url=settings.REDIS_URL,
        )
        routes = RequestIds(Calls(self._routed, self._calls))
        self._door = Door(routes, limits=self._limits, behind_proxy=settings.BEHIND_PROXY)
        self._app: ASGIApp = self._door
        if settings.CORS_ALLOWED_ORIGINS:
            self._app = CORSMiddleware(
                self._app,
                allow_origins=settings.CORS_ALLOWED_ORIGINS,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "Prefer", "X-Request-Id"],
                expose_headers=EXPOSED,
                max_age=3600,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What tills post goes straight to its endpoint, which answers every failure itself: a twentieth less."""
        endpoint = self._posts.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if endpoint is None:
            await self._starlette(scope, receive, send)
        else:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with running_till() as till:
            health = health_routes(Probe(till), metrics=Metrics(till.engine, self._calls, self._door).render)
            hot = hot_routes(till)
            app.router.routes.extend([*hot, *health])
            self._posts = {route.path: route.endpoint for route in hot if route.methods == {"POST"}}
            app.router.redirect_slashes = False  # it would send the caller, and its key, where the Host header says
            pages = WSGIMiddleware(Pages(django), workers=DJANGO_THREADS)  # type: ignore[arg-type]
            app.router.default = WholeBodies(pages, most_bytes=most_bytes)  # type: ignore[arg-type]
            scheduler = Scheduler(SCHEDULE)
            self._calls.start()
            if settings.RUN_SCHEDULER:
                scheduler.start()
            try:
                with carrying_chores():
                    yield
            finally:
                scheduler.stop()
                self._calls.stop()
                await self._limits.close()


application = Application()
