"""The direct door: headers ``tin``, ``bhfId``, ``cmcKey``; plain envelope; HTTP 200 for refusals too."""

from __future__ import annotations

from typing import Any

from gateway.simulator.answers import NUMBERS, Refusal
from gateway.simulator.door import Received, Reply
from gateway.simulator.world import Device, World

SUCCESS_TEXT = "Successful"


def envelope(code: str, message: str, stamp: str, data: Any) -> dict[str, Any]:
    """The plain envelope of OSCU and VSCU."""
    return {"resultCd": code, "resultMsg": message, "resultDt": stamp, "data": data}


class OscuDoor:
    """KRA's own host."""

    def admit(self, world: World, received: Received) -> Reply | None:
        return None

    def identify(self, world: World, received: Received, document: dict[str, Any]) -> Device:
        """The device whose key this is. 900 when a value is in neither header nor body, 901 when they do not belong
        together.
        """
        given = []
        for name in ("tin", "bhfId", "cmcKey"):
            header, field = received.header(name.lower().encode()), document.get(name)
            if not header and not field:
                raise Refusal("900", f"{name} is missing", path=(name,))
            if header and field and header != field:
                raise Refusal("901", f"{name} differs between header and body", path=(name,))
            given.append(header or field)
        pin, branch, key = given
        device = world.by_key.get(key) if isinstance(key, str) else None
        if device is None or device.kind != "oscu" or (device.branch.pin, device.branch.code) != (pin, branch):
            raise Refusal("901")
        return device

    def succeed(self, data: Any, stamp: str, received: Received) -> Reply:
        return Reply(200, NUMBERS.encode(envelope("000", SUCCESS_TEXT, stamp, data)), "000")

    def refuse(self, refusal: Refusal, received: Received, stamp: str) -> Reply:
        return self.coded(refusal.code, refusal.message(), received, stamp)

    def coded(self, code: str, message: str, received: Received, stamp: str) -> Reply:
        """An answer with that code, whatever happened."""
        return Reply(200, NUMBERS.encode(envelope(code, message, stamp, None)), code)
