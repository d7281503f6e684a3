"""Bearer tokens of GavaConnect: fetched early, by one task at a time, and dropped once KRA refuses one.

Sources: what integrators observe (`token_operations` of `data/endpoints.json`); RFC 6749 §4.4, RFC 7617.
"""

import asyncio
import base64
from collections.abc import Callable
from time import monotonic

import aiohttp
import msgspec

from gateway.kra.documents import AppCredentials
from gateway.kra.errors import DeviceTrouble, NotSent
from gateway.kra.profiles import Profile

_RENEW_AFTER = 80  # percent of a token's life
_DEFAULT_LIFE_SECONDS = 3600


class Tokens:
    """The current token of one app at one gateway. Nothing in here is ever shown."""

    def __init__(
        self,
        profile: Profile,
        app: AppCredentials,
        session: aiohttp.ClientSession,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._profile = profile
        self._app = app
        self._session = session
        self._clock = clock
        self._token = ""
        self._renew_at = 0.0
        self._lock = asyncio.Lock()

    async def current(self) -> str:
        """A token with at least a fifth of its life left.

        Raises NotSent when none can be had now, DeviceTrouble when the app's own credentials are refused.
        """
        if self._clock() >= self._renew_at:
            async with self._lock:
                if self._clock() >= self._renew_at:
                    await self._renew()
        return self._token

    def drop(self, refused: str) -> None:
        """Forget a token that KRA refused; harmless when another task has renewed it meanwhile."""
        if refused == self._token:
            self._renew_at = 0.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self._token, self._app.consumer_secret, self._app.consumer_key)

    async def _renew(self) -> None:
        basic = base64.b64encode(f"{self._app.consumer_key}:{self._app.consumer_secret}".encode()).decode()
        seconds = aiohttp.ClientTimeout(
            total=self._profile.connect_seconds + self._profile.lookup_seconds, connect=self._profile.connect_seconds
        )
        try:
            async with self._session.get(
                self._profile.token_url,
                params={"grant_type": "client_credentials"},
                headers={"Authorization": f"Basic {basic}"},
                timeout=seconds,
                allow_redirects=False,
            ) as answer:
                status, body = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotSent("token_unavailable", f"no token from the gateway ({type(error).__name__})") from None
        if status in (400, 401, 403):
            raise DeviceTrouble("app_refused", f"the gateway refuses the app's key or secret (HTTP {status})")
        try:
            granted = msgspec.json.decode(body, type=_Granted, strict=False)
        except msgspec.DecodeError:
            granted = _Granted("")
        if status != 200 or not granted.access_token:
            raise NotSent("token_unavailable", f"no token from the gateway (HTTP {status})")
        self._token = granted.access_token
        self._renew_at = self._clock() + max(1, granted.expires_in) * _RENEW_AFTER / 100


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int = _DEFAULT_LIFE_SECONDS

    def __repr__(self) -> str:
        return "_Granted(…)"
