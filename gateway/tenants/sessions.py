"""Where the sessions of browsers live: in the database, so that a copy of it opens none of them.

The cookie is kept as a hash, what the session holds is sealed by the installation's master key. `who`, `began`, `seen`,
`address` and `browser` of a session stand in columns too, for the page that lists them.
"""

import base64
import binascii
import hashlib
import json
from datetime import datetime
from typing import Any

from django.contrib.sessions.backends import db
from django.utils import timezone

from gateway.lib.crypto import SealBroken
from gateway.tenants.models import BrowserSession
from gateway.tenants.vault import open_by_master, seal_by_master

_AAD = b"browser session"


def digest_of(session_key: str | None) -> str:
    """What is kept of a cookie: 160 bits of its SHA-256, hex."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()[:40]


class SessionStore(db.SessionStore):
    """Django's sessions in the database, with what a reader of the database could use taken away."""

    @classmethod
    def get_model_class(cls) -> type[BrowserSession]:
        return BrowserSession

    def encode(self, session_dict: dict[str, Any]) -> str:
        return base64.b64encode(seal_by_master(_AAD, json.dumps(session_dict).encode())).decode()

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """What was encoded; nothing, as for an unknown cookie, when it does not open."""
        try:
            return dict(json.loads(open_by_master(_AAD, base64.b64decode(session_data))))
        except (SealBroken, binascii.Error, ValueError):
            return {}

    def _get_session_from_db(self) -> BrowserSession | None:
        found = BrowserSession.objects.filter(
            session_key=digest_of(self.session_key), expire_date__gt=timezone.now()
        ).first()
        if found is None:
            self._session_key = None
        return found

    def exists(self, session_key: str) -> bool:
        return BrowserSession.objects.filter(session_key=digest_of(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> BrowserSession:
        return BrowserSession(
            session_key=digest_of(self._get_or_create_session_key()),  # type: ignore[attr-defined]  # Django's own
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
            user_id=int(data["_auth_user_id"]) if "_auth_user_id" in data else None,
            began_at=_moment(data.get("began")),
            seen_at=_moment(data.get("seen")),
            address=data.get("address", ""),
            browser=data.get("browser", ""),
        )

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            BrowserSession.objects.filter(session_key=digest_of(key)).delete()


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
