"""Connection profiles: everything that differs between the ways to reach KRA, as data. No code asks for an environment.

Hosts, paths and time-outs: OSCU and VSCU specifications v2.0 §3.2, what integrators observe on GavaConnect; the
production base of GavaConnect is uncertain, so it can be overridden like everything else.
"""

from enum import StrEnum
from typing import Literal

import msgspec
from yarl import URL

from gateway.kra.tax import AmountProfile

_KRA = "kra.go.ke"
SANDBOX_HOSTS = frozenset({"etims-api-sbx.kra.go.ke", "sbx.kra.go.ke", "etims-sbx.kra.go.ke"})


def host_of(url: str) -> str:
    """The host that a URL leads to, as the client will see it; "" for what is no http URL.

    Read as the client reads it, for `etims-api\u3002kra.go.ke` is KRA's host too.
    """
    try:
        read = URL(url)
    except ValueError:
        return ""
    return (read.raw_host or "").rstrip(".").lower() if read.scheme in ("http", "https") else ""


def reaches(profile: "Profile", base_url: str) -> bool:
    """Whether a base URL (a VSCU device's own) is one that this profile may speak to.

    Whatever of KRA's is not known as a sandbox counts as production.
    """
    host = host_of(base_url)
    if host in SANDBOX_HOSTS:
        return profile.environment != "production"
    is_kra = host == _KRA or host.endswith(f".{_KRA}")
    return bool(host) and (profile.environment == "production" or not is_kra)


class Flavour(StrEnum):
    """Three dialects of one protocol."""

    OSCU_DIRECT = "oscu_direct"  # KRA's host, plain envelope, key in a header
    GAVACONNECT = "gavaconnect"  # the same behind KRA's API gateway: bearer token, wrapped envelope
    VSCU = "vscu"  # KRA's program at the taxpayer's site, one base URL for each device


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to speak to one KRA. Times are seconds; `receipt_url` is the verification link up to and including `Data=`.

    `package_rule` and `stock_package_rule`: `one` sends 1 package whatever the quantity, `quantity` the quantity.
    `unit_padding` is put before a unit of one or three letters inside an item code (the samples write U as XU), empty
    leaves units alone. `paths` names the column of the path table. `late_seconds`: how long after the last try a
    message may still land. `stock_first`: goods are sold only out of stock that KRA was told of.
    `stock_numbers_checked`: KRA is proven to count stock movements, so that a repeated number is not booked twice.
    """

    name: str
    flavour: Flavour
    environment: Literal["sandbox", "production", "simulator"]
    base_url: str
    receipt_url: str
    paths: Literal["oscu", "vscu", "gava_standard", "gava_integrator"]
    token_url: str = ""
    amount_profile: AmountProfile = AmountProfile.INCLUSIVE_NET_BASE
    package_rule: Literal["one", "quantity"] = "one"
    stock_package_rule: Literal["one", "quantity"] = "quantity"
    quantity_decimals: int = 2
    unit_padding: str = ""
    walk_in_name: str = "Walk-in customer"  # an original without a name makes the sandbox refuse its credit note
    walk_in_pin: str | None = None
    connect_seconds: int = 5
    lookup_seconds: int = 30
    write_seconds: int = 60
    late_seconds: int = 300
    stock_first: bool = False
    stock_numbers_checked: bool = False
    max_concurrent: int = 256  # calls at one host at a time
    answer_bytes: int = 64 * 1024 * 1024  # longer ones are broken off; the whole item classification is some 10 MB

    def __post_init__(self) -> None:
        if not 0 <= self.quantity_decimals <= 3:
            raise ValueError(f"profile {self.name}: quantity_decimals is between 0 and 3")
        for url in (self.base_url, self.token_url):
            if url and not reaches(self, url):
                message = f"profile {self.name} ({self.environment}) must not reach {host_of(url) or url}"
                raise ValueError(message)


_VERIFY = "/common/link/etims/receipt/indexEtimsReceiptData?Data="
_SANDBOX_RECEIPT = f"https://etims-sbx.kra.go.ke{_VERIFY}"
_PRODUCTION_RECEIPT = f"https://etims.kra.go.ke{_VERIFY}"

PROFILES: dict[str, Profile] = {
    known.name: known
    for known in (
        Profile(
            name="oscu_direct_sandbox",
            flavour=Flavour.OSCU_DIRECT,
            environment="sandbox",
            base_url="https://etims-api-sbx.kra.go.ke/etims-api",
            receipt_url=_SANDBOX_RECEIPT,
            paths="oscu",
        ),
        Profile(
            name="oscu_direct_production",
            flavour=Flavour.OSCU_DIRECT,
            environment="production",
            base_url="https://etims-api.kra.go.ke/etims-api",
            receipt_url=_PRODUCTION_RECEIPT,
            paths="oscu",
            write_seconds=120,
        ),
        Profile(
            name="gavaconnect_sandbox",
            flavour=Flavour.GAVACONNECT,
            environment="sandbox",
            base_url="https://sbx.kra.go.ke/etims-oscu/api/v1",
            token_url="https://sbx.kra.go.ke/v1/token/generate",
            receipt_url=_SANDBOX_RECEIPT,
            paths="gava_standard",
            stock_first=True,
            stock_numbers_checked=True,
        ),
        Profile(
            name="gavaconnect_production",
            flavour=Flavour.GAVACONNECT,
            environment="production",
            base_url="https://api.kra.go.ke/etims-oscu/api/v1",
            token_url="https://api.kra.go.ke/v1/token/generate",
            receipt_url=_PRODUCTION_RECEIPT,
            paths="gava_standard",
            stock_first=True,
            stock_numbers_checked=True,
            write_seconds=120,
        ),
        Profile(
            name="vscu_sandbox",
            flavour=Flavour.VSCU,
            environment="sandbox",
            base_url="http://localhost:8088",
            receipt_url=_SANDBOX_RECEIPT,
            paths="vscu",
        ),
        Profile(
            name="vscu_production",
            flavour=Flavour.VSCU,
            environment="production",
            base_url="http://localhost:8088",
            receipt_url=_PRODUCTION_RECEIPT,
            paths="vscu",
        ),
    )
}

# Where a simulator that speaks all three flavours on one port serves each of them.
_SIMULATOR_PREFIX = {
    Flavour.OSCU_DIRECT: "/oscu/etims-api",
    Flavour.GAVACONNECT: "/gavaconnect/etims-oscu/api/v1",
    Flavour.VSCU: "/vscu",
}


def profile(name: str, **overrides: object) -> Profile:
    """A built-in profile, with some of it replaced.

    Raises KeyError for an unknown name, ValueError for a value that does not fit or a host of the other environment.
    """
    known = PROFILES[name]
    return _made({**msgspec.to_builtins(known), **overrides}) if overrides else known


def simulator(flavour: Flavour, origin: str, **overrides: object) -> Profile:
    """The profile of a simulator at `origin` (`http://127.0.0.1:9000`) that serves all flavours on one port."""
    origin = origin.rstrip("/")
    values: dict[str, object] = {
        "name": f"simulator_{flavour}",
        "environment": "simulator",
        "flavour": flavour,
        "base_url": origin + _SIMULATOR_PREFIX[flavour],
        "token_url": f"{origin}/gavaconnect/v1/token/generate" if flavour is Flavour.GAVACONNECT else "",
        "receipt_url": origin + _VERIFY,
        "max_concurrent": 1024,
        "stock_first": flavour is Flavour.GAVACONNECT,
        "stock_numbers_checked": flavour is Flavour.GAVACONNECT,
        "paths": {Flavour.OSCU_DIRECT: "oscu", Flavour.GAVACONNECT: "gava_standard", Flavour.VSCU: "vscu"}[flavour],
    }
    return _made({**values, **overrides})


def allowed(profile: Profile, environment: str) -> bool:
    """Whether documents of an environment (`sandbox`, `production`) may travel over a profile.

    Production goes to production and nowhere else; everything else stays away from it. The hosts themselves are
    checked when a profile is made and once more for a device's own base URL (`reaches`).
    """
    if environment == "production":
        return profile.environment == "production"
    return profile.environment != "production"


def _made(values: dict[str, object]) -> Profile:
    try:
        return msgspec.convert(values, Profile)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
