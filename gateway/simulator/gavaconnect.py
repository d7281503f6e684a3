"""The GavaConnect door: bearer token, ``apigee_app_id``, plain envelope wrapped in responseHeader / responseBody.

A validator's refusal is HTTP 400 with the reason only as text; what concerns the device, limits and empty look-ups
keeps
its result code inside the envelope. Faults of the gateway itself have a third shape.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Any, Final
from uuid import UUID

from gateway.simulator.answers import NUMBERS, Refusal
from gateway.simulator.door import Received, Reply
from gateway.simulator.oscu import SUCCESS_TEXT, envelope
from gateway.simulator.signing import derive
from gateway.simulator.world import Device, World

_AS_TEXT: Final = frozenset(("910", "911", "912", "913", "922", "20"))
_WORDING: Final = {
    "pkgUnitCd": "Package unit code can only be among the codes of class 17",
    "qtyUnitCd": "Invalid quantity unit code",
    "rfdRsnCd": "Invalid RfdRsnCd",
}


class GavaconnectDoor:
    """KRA behind its API gateway."""

    def admit(self, world: World, received: Received) -> Reply | None:
        """401 with the gateway's fault for a missing, wrong or expired token; None when the caller may come in."""
        scheme, _, token = received.header(b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return fault(401, "Invalid access token", "oauth.v2.InvalidAccessToken")
        expires = token_expiry(world, token.strip())
        if expires is None:
            return fault(401, "Invalid Access Token", "keymanagement.service.invalid_access_token")
        if expires <= world.clock.now_ms():
            return fault(401, "Access Token expired", "keymanagement.service.access_token_expired")
        if not received.header(b"apigee_app_id"):
            return fault(
                401, "Failed to resolve variable request.header.apigee_app_id", "steps.oauth.v2.FailedToResolveAPIKey"
            )
        return None

    def identify(self, world: World, received: Received, document: dict[str, Any]) -> Device:
        """The device whose key the headers carry."""
        pin, branch, key = (received.header(name) for name in (b"tin", b"bhfid", b"cmckey"))
        for name, value in (("tin", pin), ("bhfId", branch), ("cmcKey", key)):
            if not value:
                raise Refusal("900", f"{name} is missing", path=(name,))
        if received.operation in ("stock_move_list", "purchase_sales_list"):
            for name in ("tin", "bhfId"):
                if not document.get(name):
                    raise Refusal("910", "may not be empty", path=(name,))
        if document.get("tin", pin) != pin:
            raise Refusal("901", "tin differs between header and body")
        if pin in world.taxpayers and (pin, branch) not in world.branches:
            # Seen live: a branch that does not exist is reported as a tax type problem.
            raise Refusal("910", "Error validating item tax type")
        device = world.by_key.get(key)
        if device is None or device.kind != "oscu" or (device.branch.pin, device.branch.code) != (pin, branch):
            raise Refusal("901")
        return device

    def succeed(self, data: Any, stamp: str, received: Received) -> Reply:
        inner = envelope("000", SUCCESS_TEXT, stamp, data)
        if received.path.endswith("/initialize"):
            # The integrator name hands the key out at the root, not inside data.info.
            info = dict(data["info"])
            inner |= {"cmcKey": info.pop("cmcKey"), "deviceId": info["dvcId"], "data": {"info": info}}
        return wrapped(200, 200, "Success", inner, "000", received)

    def refuse(self, refusal: Refusal, received: Received, stamp: str) -> Reply:
        if refusal.code in _AS_TEXT:
            return wrapped(400, 400, wording(refusal), None, refusal.code, received)
        inner = envelope(refusal.code, refusal.message(), stamp, None)
        return wrapped(200, 200, "Success", inner, refusal.code, received)

    def coded(self, code: str, message: str, received: Received, stamp: str) -> Reply:
        return wrapped(200, 200, "Success", envelope(code, message, stamp, None), code, received)


def wording(refusal: Refusal) -> str:
    """The reason as the gateway's validator writes it."""
    name = refusal.path[-1] if refusal.path else ""
    if refusal.code == "913" and not refusal.reason:
        return _WORDING.get(name) or refusal.message()
    if refusal.reason == "may not be empty":
        return f"{name} cannot be null or empty: {name} may not be empty"
    if name and refusal.reason[:1].islower() and name not in refusal.reason:
        return f"{name} {refusal.reason}"
    return refusal.reason or refusal.message()


def wrapped(status: int, code: int, text: str, inner: Any, result: str, received: Received) -> Reply:
    """The gateway's envelope. Its reference is made from the request, so that a run can be repeated."""
    reference = str(UUID(bytes=derive(received.body, received.path)[:16]))
    header = {"responseCode": code, "responseRefID": reference, "customerMessage": text, "debugMessage": text}
    return Reply(status, NUMBERS.encode({"responseHeader": header, "responseBody": inner}), result)


def fault(status: int, text: str, code: str) -> Reply:
    """The gateway's own trouble: token, routing."""
    return Reply(status, NUMBERS.encode({"fault": {"faultstring": text, "detail": {"errorcode": code}}}), "fault")


def no_such_route(path: str) -> Reply:
    """What the gateway says of a path it does not know."""
    return fault(500, f"Unresolved variable : targetPath ({path})", "entities.UnresolvedVariable")


def issue_token(world: World, authorization: str, query: dict[str, str]) -> Reply:
    """A bearer token for the right consumer key and secret; HTTP 400 with an empty body for anything else."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        given = b64decode(encoded, validate=True).decode()
    except (Base64Error, UnicodeDecodeError):
        given = ""
    expected = f"{world.settings.consumer_key}:{world.settings.consumer_secret}"
    if scheme.lower() != "basic" or given != expected or query.get("grant_type") != "client_credentials":
        return Reply(400, b"", "400")
    life = world.settings.token_seconds
    token = sign_token(world, world.clock.now_ms() + life * 1000)
    return Reply(200, NUMBERS.encode({"access_token": token, "expires_in": str(life)}), "000")


def sign_token(world: World, expires: int) -> str:
    """A token that carries its own expiry, so that it survives a restart of the simulator."""
    mac = hmac.digest(world.secret, f"token {expires}".encode(), "sha256")
    return "SIM" + b64encode(f"{expires}.".encode() + mac[:15], b"-_").decode().rstrip("=")


def token_expiry(world: World, token: str) -> int | None:
    """When a token of ours ends, in milliseconds since 1970; None for anything else."""
    try:
        raw = b64decode(token[3:] + "=" * (-len(token[3:]) % 4), b"-_")
        expires = int(raw.partition(b".")[0])
    except ValueError:
        return None
    return expires if hmac.compare_digest(sign_token(world, expires), token) else None
