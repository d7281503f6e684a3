"""The VSCU door: the jar beside the till. It knows its taxpayer from the body, signs locally and forwards to KRA.

It answers 899 where it cannot say more, and a bare HTTP 400 to JSON of the wrong type.
"""

from __future__ import annotations

from typing import Any

from gateway.simulator.answers import NUMBERS, Refusal
from gateway.simulator.door import Received, Reply
from gateway.simulator.oscu import SUCCESS_TEXT, envelope
from gateway.simulator.world import Device, World


class VscuDoor:
    """KRA's program at the taxpayer's."""

    def admit(self, world: World, received: Received) -> Reply | None:
        return None

    def identify(self, world: World, received: Received, document: dict[str, Any]) -> Device:
        """The unit of the branch named in the body; without keys the jar can only say 899."""
        for name in ("tin", "bhfId"):
            value = document.get(name)
            if value is None or value == "":
                raise Refusal("910", "may not be empty", path=(name,))
            if not isinstance(value, str):
                raise Refusal("910", "must be text", path=(name,), wrong_type=True)
        unit = world.units.get((document["tin"], document["bhfId"]))
        if unit is None:
            raise Refusal("899")
        return unit

    def succeed(self, data: Any, stamp: str, received: Received) -> Reply:
        return Reply(200, NUMBERS.encode(envelope("000", SUCCESS_TEXT, stamp, data)), "000")

    def refuse(self, refusal: Refusal, received: Received, stamp: str) -> Reply:
        if refusal.wrong_type:
            return bad_request(received.path)
        return self.coded(refusal.code, refusal.message(), received, stamp)

    def coded(self, code: str, message: str, received: Received, stamp: str) -> Reply:
        return Reply(200, NUMBERS.encode(envelope(code, message, stamp, None)), code)


def bad_request(path: str) -> Reply:
    """What the jar's web server says when a JSON value has the wrong type: no resultCd."""
    return Reply(400, NUMBERS.encode({"status": 400, "error": "Bad Request", "path": path}), "400")
