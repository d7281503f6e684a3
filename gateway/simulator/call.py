"""One call to KRA as the operations see it, whichever door it came through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.simulator.answers import Refusal
from gateway.simulator.clock import parse14
from gateway.simulator.settings import Settings
from gateway.simulator.world import Branch, Device, Taxpayer, World


@dataclass(slots=True, eq=False)
class Call:
    """An identified request. An operation checks everything first and changes the world last."""

    world: World
    flavour: str
    operation: str
    now: int  # milliseconds since 1970, virtual
    document: dict[str, Any]
    body: bytes
    request_id: int | None
    found_device: Device | None
    switches: Mapping[str, Any] = field(default_factory=dict)  # standing faults that change how an operation answers
    origin: str = "caller"
    path: str = ""

    @property
    def device(self) -> Device:
        assert self.found_device is not None
        return self.found_device

    @property
    def branch(self) -> Branch:
        return self.device.branch

    @property
    def taxpayer(self) -> Taxpayer:
        return self.world.taxpayers[self.branch.pin]

    @property
    def settings(self) -> Settings:
        return self.world.settings

    @property
    def is_strict(self) -> bool:
        return self.world.settings.strict

    @property
    def is_gateway(self) -> bool:
        return self.flavour == "gavaconnect"

    @property
    def duplicate_code(self) -> str | None:
        """How a number that is already recorded is refused; None where the host only names the number it expects."""
        if "repeat_as_drift" in self.switches:
            return None
        if "duplicate_code" in self.switches:
            return str(self.switches["duplicate_code"].get("code", "994"))
        return {"oscu_direct": "994", "vscu": "899"}.get(self.flavour)

    def since(self) -> int:
        """``lastReqDt`` in milliseconds since 1970."""
        return parse14(self.document["lastReqDt"])

    def head_office_only(self) -> None:
        """Items, purchases and imports belong to the head office (OSCU spec v2.0 §3.3); strict hosts insist."""
        if self.is_strict and self.branch.code != "00":
            raise Refusal("910", "only the head office may send this", path=("bhfId",))
