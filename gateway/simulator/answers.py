"""How a call can end.

* Refusal    KRA read it and said no: a result code and a reason; nothing was recorded
* a value    the ``data`` of a successful answer (None becomes null)
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.simulator.tables import messages

NUMBERS: Final = msgspec.json.Encoder(decimal_format="number")


class Refusal(Exception):
    """The document is not recorded. ``code`` is what the plain envelope shows, ``reason`` what the gateway shows."""

    def __init__(
        self, code: str, reason: str = "", *, path: tuple[str, ...] = (), wrong_type: bool = False, line: int = 0
    ) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.path = path
        self.wrong_type = wrong_type
        self.line = line

    def __str__(self) -> str:
        return self.message()

    def message(self) -> str:
        """The plain envelope's text, with the field path as KRA writes it: ``[<itemList><pkgUnitCd>]``."""
        text = messages().get(self.code, "")
        where = "".join(f"<{name}>" for name in self.path)
        inside = " : ".join(part for part in (where, self.reason) if part)
        if inside and text:
            inside = f"{text} [{inside}]"
        suffix = f" (item {self.line})" if self.line else ""
        return (inside or text) + suffix


class Missing(Refusal):
    """A look-up that found nothing; for a list this means empty (result code 001)."""

    def __init__(self) -> None:
        super().__init__("001")
