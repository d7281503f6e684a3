"""Reading a stored invoice, whichever way its row was fetched: the ORM, PostgreSQL or SQLite without an ORM."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.sales.receipts.identifiers import cu_invoice_number, qr_url

UNKNOWN_REASON = "Sent to KRA. No answer came; we are asking KRA what it has."
WAITING_REASONS = {
    "queued": "Waiting for its turn to be sent to KRA.",
    "sending": "With KRA. Its answer has not come yet.",
    "unknown": UNKNOWN_REASON,
}
SIMULATED_UNIT = "SIM"  # so begins the id of every simulated control unit, and of no real one


def moment(value: Any) -> datetime:
    """A datetime column, aware, in UTC. Text without a zone is UTC, as Django keeps it in SQLite.

    Raises ValueError for a naive datetime, which could mean any zone.
    """
    when: datetime
    if isinstance(value, str):
        when = datetime.fromisoformat(value)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    when = value
    if when.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return when.astimezone(UTC)


def is_simulated(row: Mapping[str, Any], snapshot: Mapping[str, Any]) -> bool:
    """Whether the simulator signed it, or would."""
    return bool(snapshot.get("simulated")) or str(row.get("control_unit_id") or "").startswith(SIMULATED_UNIT)


def legal_number(row: Mapping[str, Any]) -> str | None:
    """The CU invoice number of a signed row; None when KRA's answer lacked a part of it: signed it is all the same."""
    try:
        return cu_invoice_number(row["control_unit_id"] or "", row["receipt_number"] or 0)
    except ValueError:
        return None


def link_to_kra(row: Mapping[str, Any], snapshot: Mapping[str, Any]) -> str | None:
    """What the QR code of a signed row opens; None when KRA's page could not find it (a part of an odd width)."""
    try:
        return qr_url(
            snapshot.get("receipt_url") or "",
            pin=snapshot["pin"],
            branch=snapshot["branch_code"],
            signature=row["signature"],
        )
    except ValueError:
        return None
