"""Branches, notices, taxpayers and what a branch keeps at KRA, in our words. Absent texts are empty."""

from datetime import datetime

import msgspec


class Taxpayer(msgspec.Struct, frozen=True, kw_only=True):
    """What KRA tells about a PIN that was asked for. `status` is class 15: A active, D inactive."""

    pin: str
    name: str
    status: str
    county_name: str
    sub_county_name: str
    tax_locality_name: str
    location_description: str


class TaxpayerInfo(msgspec.Struct, frozen=True):
    """Our own VAT type; its values are not published."""

    name: str
    vat_type: str


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A branch as KRA knows it. `status` is class 09: 01 open, 02 closed."""

    pin: str
    code: str
    name: str
    status: str
    county_name: str
    sub_county_name: str
    tax_locality_name: str
    location_description: str
    manager_name: str
    manager_phone: str
    manager_email: str
    is_head_office: bool


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice of KRA to the branch."""

    number: int
    title: str
    body: str
    detail_url: str
    author: str
    registered_at: datetime | None


class BranchCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer that a branch keeps at KRA; saving a known number updates it."""

    number: str
    pin: str
    name: str
    address: str | None = None
    phone: str | None = None
    email: str | None = None
    fax: str | None = None
    remark: str | None = None
    in_use: bool = True
    operator_id: str = "revpay"
    operator_name: str = "Revpay Connect"


class BranchUser(msgspec.Struct, frozen=True, kw_only=True):
    """An account of a branch at KRA. KRA demands a password; never send one that opens anything of ours."""

    user_id: str
    name: str
    password: str
    address: str | None = None
    contact: str | None = None
    authority_code: str | None = None
    remark: str | None = None
    in_use: bool = True
    operator_id: str = "revpay"
    operator_name: str = "Revpay Connect"

    def __repr__(self) -> str:
        return f"BranchUser(user_id={self.user_id!r}, …)"

    def __rich_repr__(self) -> list[str]:  # type: ignore[override]
        return [self.user_id]


class Insurance(msgspec.Struct, frozen=True, kw_only=True):
    """An insurer that a pharmacy bills; `rate` in whole percent."""

    code: str
    name: str
    rate: int
    in_use: bool = True
    operator_id: str = "revpay"
    operator_name: str = "Revpay Connect"
