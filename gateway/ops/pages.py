"""Django's pages and routes, loaded while the tills are already served: they are most of what a start has to load."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.urls import get_resolver

from gateway.lib.memory import keep_loaded

log = logging.getLogger(__name__)


class Pages:
    """A WSGI application whose first callers wait until it is loaded. What cannot be loaded ends the process."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._is_loaded = threading.Event()
        threading.Thread(target=self._load, name="loading pages", daemon=True).start()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self._is_loaded.wait()
        return self._application(environ, start_response)

    def _load(self) -> None:
        try:
            _ = get_resolver().url_patterns
            keep_loaded()
        except Exception:
            log.critical("the pages cannot be loaded, so the gateway ends", exc_info=True)
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            self._is_loaded.set()
