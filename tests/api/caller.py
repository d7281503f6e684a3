"""A system that speaks to the API."""

import json
from typing import Any

from django.test import Client


class Caller:
    """One key, or none."""

    def __init__(self, key: str | None) -> None:
        self._client = Client(raise_request_exception=False)
        self._headers = {"Authorization": f"Token {key}"} if key else {}

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return self._client.get(path, query, headers={**self._headers, **headers})

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """`body` is sent as JSON; bytes and text go as they are."""
        return self._client.post(path, body, content_type="application/json", headers={**self._headers, **headers})

    def put(self, path: str, body: Any, **headers: str) -> Any:
        return self._client.put(path, body, content_type="application/json", headers={**self._headers, **headers})

    def send(self, method: str, path: str, body: Any, **headers: str) -> Any:
        """PUT, PATCH and the like; `body` is sent as JSON."""
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return self._client.generic(
            method, path, text, content_type="application/json", headers={**self._headers, **headers}
        )

    def ask(self, method: str, path: str, **headers: str) -> Any:
        return self._client.generic(method, path, headers={**self._headers, **headers})
