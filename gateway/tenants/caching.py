"""The cache that all processes share in Redis, and what stands in for it while Redis is away.

All in it may be lost: counters of tries to sign in, rests, look-ups. So while Redis is ill each process goes on
with a memory of its own, as the door does with its limits, and people sign in as before.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

REST_SECONDS = 5.0  # after Redis failed, it is not asked for so long
_METHODS = ("add", "get", "set", "touch", "delete", "get_many", "set_many", "delete_many", "has_key", "incr", "clear")
_log = logging.getLogger(__name__)
_rests_until = 0.0  # of this process; a cache object lives as long as its thread's request


class SharedCache(RedisCache):
    """Django's cache in Redis; while that does not answer, this process's own memory."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self.own = LocMemCache("while Redis is away", {"MAX_ENTRIES": 20_000, **params, "OPTIONS": {}})


def _guarded(name: str) -> Callable[..., Any]:
    in_redis = getattr(RedisCache, name)

    def method(self: SharedCache, *args: Any, **options: Any) -> Any:
        global _rests_until
        if time.monotonic() >= _rests_until:
            try:
                return in_redis(self, *args, **options)
            except (RedisError, OSError) as error:
                _rests_until = time.monotonic() + REST_SECONDS
                _log.warning("this process's own cache is used, Redis does not answer: %s", type(error).__name__)
        return getattr(self.own, name)(*args, **options)

    return method


for _name in _METHODS:
    setattr(SharedCache, _name, _guarded(_name))
