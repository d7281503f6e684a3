"""What the simulator's operator may choose; kept in the ledger, changed over ``POST /_sim/settings``."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

Profile = Literal["inclusive_net_base", "inclusive_gross_base", "exclusive"]
Count = Annotated[int, msgspec.Meta(ge=0)]

PROFILES: tuple[Profile, ...] = ("inclusive_net_base", "inclusive_gross_base", "exclusive")


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """Each field says what a real KRA host seems to do by default."""

    strict: bool = True  # False: numbers as text, absent salesTyCd and any amount profile are let through
    profile: Profile = "inclusive_net_base"  # what prc, splyAmt and taxblAmt contain, when strict
    rates: dict[str, Decimal] = msgspec.field(
        default_factory=lambda: {"A": Decimal(0), "B": Decimal(16), "C": Decimal(0), "D": Decimal(0), "E": Decimal(8)}
    )  # class 04, percent
    rates_changed_at: int = 0  # milliseconds since 1970, 0 = never
    drift_code: str = "910"  # result code of a wrong number in the plain envelope
    wrong_kind_code: Literal["903", "905"] = "903"  # serial of the other kind of unit; 905 was seen live
    match_catalogue: bool = False  # also refuse a line whose class, units or tax letter differ from the registered item
    future_seconds: Count = 600  # how far ahead of our clock a document may be dated
    lookups_per_minute: Count = 0  # 990 after so many look-ups of one branch in a minute; 0 = no limit
    import_lag_seconds: Count = 0  # an updated imported line is still listed as it was for so long
    token_seconds: Annotated[int, msgspec.Meta(ge=1)] = 3599  # life of a GavaConnect token
    consumer_key: str = "sim-consumer"
    consumer_secret: str = "sim-secret"
    vscu_offline_seconds: Count = 86_400  # a VSCU that had no contact for so long gives no more numbers
    vscu_capacity: Count = 100_000  # unsent documents a VSCU can hold
    seeded: bool = True  # a new taxpayer finds invoices of suppliers and imported goods
    stock_checked_everywhere: bool = False  # False: only GavaConnect compares stock, as seen

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()


def read_settings(stored: Mapping[str, str]) -> Settings:
    """The settings of a state file, or the defaults of a new one."""
    return msgspec.json.decode(stored["options"], type=Settings) if "options" in stored else Settings()


def changed_settings(before: Settings, changes: bytes) -> Settings:
    """Settings with some of them replaced; rates may be given one by one. Raises msgspec.ValidationError."""
    wanted = msgspec.json.decode(changes, type=dict[str, msgspec.Raw])
    merged = msgspec.json.decode(msgspec.json.encode(before), type=dict[str, msgspec.Raw]) | wanted
    if "rates" in wanted:
        rates = msgspec.json.decode(wanted["rates"], type=dict[Literal["A", "B", "C", "D", "E"], Decimal])
        merged["rates"] = msgspec.Raw(msgspec.json.encode({**before.rates, **rates}))
    return msgspec.json.decode(msgspec.json.encode(merged), type=Settings)
