"""Activation, code lists and the item classification on the wire (OSCU v2.0 §3.3.1 to §3.3.3, VSCU v2.0)."""

from typing import Any

from gateway.kra.documents import Activation, Code, CodeClass, ItemClass
from gateway.kra.wire.fields import flag, integer, optional_integer, records, required_text, text

_LAST_NUMBERS = {
    "sale_invoice": "lastSaleInvcNo",
    "purchase_invoice": "lastPchsInvcNo",
    "sale_receipt": "lastSaleRcptNo",
    "invoice": "lastInvcNo",
    "training_invoice": "lastTrainInvcNo",
    "proforma_invoice": "lastProfrmInvcNo",
    "copy_invoice": "lastCopyInvcNo",
}


def read_activation(body: dict[str, Any]) -> Activation:
    """What an activation gave; `body` is the inner envelope. The key sits in `data.info`, or beside `data` at times."""
    data = body.get("data")
    info = data.get("info") if isinstance(data, dict) else None
    if not isinstance(info, dict):
        info = body
    last_numbers = {name: optional_integer(info, wire) for name, wire in _LAST_NUMBERS.items()}
    return Activation(
        pin=text(info, "tin"),
        branch=text(info, "bhfId"),
        taxpayer_name=text(info, "taxprNm"),
        business_activity=text(info, "bsnsActv"),
        branch_name=text(info, "bhfNm"),
        branch_opened_on=text(info, "bhfOpenDt"),
        county_name=text(info, "prvncNm"),
        sub_county_name=text(info, "dstrtNm"),
        tax_locality_name=text(info, "sctrNm"),
        location_description=text(info, "locDesc"),
        is_head_office=flag(info, "hqYn"),
        manager_name=text(info, "mgrNm"),
        manager_phone=text(info, "mgrTelNo"),
        manager_email=text(info, "mgrEmail"),
        device_id=text(info, "dvcId") or text(body, "dvcId", "deviceId"),
        control_unit_id=text(info, "sdcId", "sdicId") or text(body, "sdcId"),
        machine_code=text(info, "mrcNo") or text(body, "mrcNo"),
        key=text(info, "cmcKey") or text(body, "cmcKey"),
        internal_key=text(info, "intrlKey"),
        signing_key=text(info, "signKey"),
        last_numbers={name: number for name, number in last_numbers.items() if number is not None},
    )


def read_code_classes(data: Any) -> list[CodeClass]:
    return [
        CodeClass(
            number=required_text(record, "cdCls"),
            name=text(record, "cdClsNm"),
            description=text(record, "cdClsDesc"),
            in_use=flag(record, "useYn"),
            custom_labels=_three(record, "userDfnNm"),
            codes=[_code(row) for row in (records(record, "dtlList") if record.get("dtlList") is not None else [])],
        )
        for record in records(data, "clsList")
    ]


def read_item_classes(data: Any) -> list[ItemClass]:
    return [
        ItemClass(
            code=required_text(record, "itemClsCd", "itemClCd"),
            name=text(record, "itemClsNm"),
            level=integer(record, "itemClsLvl"),
            tax_class=text(record, "taxTyCd"),
            is_major_target=flag(record, "mjrTgYn"),
            in_use=flag(record, "useYn"),
        )
        for record in records(data, "itemClsList")
    ]


def _code(record: dict[str, Any]) -> Code:
    return Code(
        code=required_text(record, "cd"),
        name=text(record, "cdNm"),
        description=text(record, "cdDesc"),
        sort_order=optional_integer(record, "srtOrd") or 0,
        in_use=flag(record, "useYn"),
        custom_values=_three(record, "userDfnCd"),
    )


def _three(record: dict[str, Any], stem: str) -> tuple[str, str, str]:
    return text(record, f"{stem}1"), text(record, f"{stem}2"), text(record, f"{stem}3")
