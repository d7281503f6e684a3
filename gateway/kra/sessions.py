"""Opening connections to KRA. Who has a device asks `devices.queries.session_for`, which knows where it may lead."""

from collections.abc import Sequence

import aiohttp

from gateway.kra.fence import FencedResolver, Network

_KEEP_IDLE_SECONDS = 10  # shorter than any server's, so that a kept connection is rarely one that was just closed


def open_session(*, only: Sequence[Network] | None = None) -> aiohttp.ClientSession:
    """A session fit for many companies: no cookies, no proxy from the environment, connections kept for a short while.

    `only` are the networks to which names may lead. To be made on the loop that uses it and closed by who made it.
    """
    connector = aiohttp.TCPConnector(
        limit=0,
        limit_per_host=0,
        keepalive_timeout=_KEEP_IDLE_SECONDS,
        ttl_dns_cache=60,
        resolver=None if only is None else FencedResolver(only),
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
