"""Branches, notices and what a branch keeps at KRA, on the wire (OSCU v2.0 §3.3.2 and §3.3.4, VSCU §3.3.2, §3.3.3)."""

from typing import Any

from gateway.kra.branch_documents import (
    Branch,
    BranchCustomer,
    BranchUser,
    Insurance,
    Notice,
    Taxpayer,
    TaxpayerInfo,
)
from gateway.kra.documents import Credentials
from gateway.kra.wire.fields import (
    Unreadable,
    code,
    cut,
    encode,
    flag,
    integer,
    operator,
    optional_cut,
    optional_moment,
    records,
    required_text,
    text,
    yes_no,
)


def customer_body(customer: BranchCustomer, credentials: Credentials) -> bytes:
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "custNo": code(customer.number, 9, "number"),
            "custTin": code(customer.pin, 11, "pin"),
            "custNm": cut(customer.name, 60, "name"),
            "adrs": optional_cut(customer.address, 300),
            "telNo": optional_cut(customer.phone, 20),
            "email": optional_cut(customer.email, 50),
            "faxNo": optional_cut(customer.fax, 20),
            "useYn": yes_no(customer.in_use),
            "remark": optional_cut(customer.remark, 1000),
            **operator(customer.operator_id, customer.operator_name),
        }
    )


def user_body(user: BranchUser, credentials: Credentials) -> bytes:
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "userId": code(user.user_id, 20, "user_id"),
            "userNm": cut(user.name, 60, "name"),
            "pwd": code(user.password, 255, "password"),
            "adrs": optional_cut(user.address, 200),
            "cntc": optional_cut(user.contact, 20),
            "authCd": optional_cut(user.authority_code, 100),
            "remark": optional_cut(user.remark, 2000),
            "useYn": yes_no(user.in_use),
            **operator(user.operator_id, user.operator_name),
        }
    )


def insurance_body(insurance: Insurance, credentials: Credentials) -> bytes:
    if not 0 <= insurance.rate <= 100:
        raise ValueError("rate is between 0 and 100 percent")
    return encode(
        {
            "tin": credentials.pin,
            "bhfId": credentials.branch,
            "isrccCd": code(insurance.code, 10, "code"),
            "isrccNm": cut(insurance.name, 100, "name"),
            "isrcRt": insurance.rate,
            "useYn": yes_no(insurance.in_use),
            **operator(insurance.operator_id, insurance.operator_name),
        }
    )


def read_taxpayers(data: Any) -> list[Taxpayer]:
    return [
        Taxpayer(
            pin=required_text(record, "tin"),
            name=text(record, "taxprNm"),
            status=text(record, "taxprSttsCd"),
            county_name=text(record, "prvncNm"),
            sub_county_name=text(record, "dstrtNm"),
            tax_locality_name=text(record, "sctrNm"),
            location_description=text(record, "locDesc"),
        )
        for record in records(data, "custList")
    ]


def read_taxpayer_info(data: Any) -> TaxpayerInfo:
    info = data.get("info") if isinstance(data, dict) else None
    if not isinstance(info, dict):
        raise Unreadable("info is missing")
    return TaxpayerInfo(text(info, "taxprNm"), text(info, "vatTyCd"))


def read_branches(data: Any) -> list[Branch]:
    return [
        Branch(
            pin=text(record, "tin"),
            code=required_text(record, "bhfId"),
            name=text(record, "bhfNm"),
            status=text(record, "bhfSttsCd"),
            county_name=text(record, "prvncNm"),
            sub_county_name=text(record, "dstrtNm"),
            tax_locality_name=text(record, "sctrNm"),
            location_description=text(record, "locDesc"),
            manager_name=text(record, "mgrNm"),
            manager_phone=text(record, "mgrTelNo"),
            manager_email=text(record, "mgrEmail"),
            is_head_office=flag(record, "hqYn"),
        )
        for record in records(data, "bhfList")
    ]


def read_notices(data: Any) -> list[Notice]:
    return [
        Notice(
            number=integer(record, "noticeNo"),
            title=text(record, "title"),
            body=text(record, "cont"),
            detail_url=text(record, "dtlUrl"),
            author=text(record, "regrNm"),
            registered_at=optional_moment(record, "regDt"),
        )
        for record in records(data, "noticeList")
    ]


def read_customers(data: Any) -> list[BranchCustomer]:
    return [
        BranchCustomer(
            number=required_text(record, "custNo"),
            pin=text(record, "custTin"),
            name=text(record, "custNm"),
            address=text(record, "adrs") or None,
            phone=text(record, "telNo") or None,
            email=text(record, "email") or None,
            fax=text(record, "faxNo") or None,
            remark=text(record, "remark") or None,
            in_use=flag(record, "useYn"),
            operator_id=text(record, "modrId", "regrId"),
            operator_name=text(record, "modrNm", "regrNm"),
        )
        for record in records(data, "custList")
    ]
