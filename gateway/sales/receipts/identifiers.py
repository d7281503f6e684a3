"""The numbers and codes that make a signed document findable at KRA, in the forms that KRA prescribes.

Source: KRA Trader Invoicing System specification v2.0 §6.23 and pages 8 to 10; the link as KRA's portals answer it.
"""

from datetime import datetime

from gateway.lib.clock import NAIROBI

PIN_WIDTH = 11
BRANCH_WIDTH = 2
SIGNATURE_WIDTH = 16


def cu_invoice_number(control_unit: str, receipt_number: int) -> str:
    """The legal number of a signed document: `KRACU0100000001/152`. Raises ValueError without a control unit."""
    if not control_unit or receipt_number < 1:
        raise ValueError("a CU invoice number needs a control unit and a receipt number")
    return f"{control_unit}/{receipt_number}"


def qr_url(receipt_url: str, *, pin: str, branch: str, signature: str) -> str:
    """The address that the QR code opens: `receipt_url` ends with `Data=`, then PIN, branch and undashed signature.

    KRA's page cuts the three apart by their widths, so a part with another width would show another document or none:
    raises ValueError for it, as for an empty `receipt_url`.
    """
    if not receipt_url:
        raise ValueError("there is no address of KRA's receipt page")
    for name, part, width in (
        ("PIN", pin, PIN_WIDTH),
        ("branch", branch, BRANCH_WIDTH),
        ("signature", signature, SIGNATURE_WIDTH),
    ):
        if len(part) != width or not (part.isascii() and part.isalnum()):
            raise ValueError(f"the {name} in a QR code has {width} letters and digits")
    return f"{receipt_url}{pin}{branch}{signature}"


def text_code(
    *, signed_at: datetime, control_unit: str, receipt_number: int, internal_data: str, signature: str
) -> str:
    """The content of a QR code that needs no network (TIS specification v2.0 §6.23.8), with the date in Nairobi time.

    `ddmmyyyy#hhmmss#control unit#receipt number#internal data#signature`. Raises ValueError for a time without a zone.
    """
    if signed_at.tzinfo is None:
        raise ValueError("a moment without a time zone")
    moment = signed_at.astimezone(NAIROBI)
    return "#".join(
        (f"{moment:%d%m%Y}", f"{moment:%H%M%S}", control_unit, str(receipt_number), internal_data, signature)
    )


def grouped(code: str) -> str:
    """Internal data or a signature as it is printed: `QUII-27MA-TATS-HFRB`."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
