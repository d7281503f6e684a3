"""The calls KRA offers: path in each flavour, whether it changes anything there (`data/endpoints.json`)."""

from functools import cache
from pathlib import Path

import msgspec

from gateway.kra.profiles import Profile

_DATA = Path(__file__).parent / "data" / "endpoints.json"

# Answers success without keeping the change, as observed; the standard path of the same host works.
_UNRELIABLE = {("gava_integrator", "import_item_update")}


class Operation(msgspec.Struct, frozen=True):
    """One call. `paths` by column name; None where a flavour has no such call."""

    id: str
    paths: dict[str, str | list[str] | None]
    is_write: bool


def operation(name: str) -> Operation:
    """The call of that name, e.g. `sales_save`. Raises KeyError if there is none."""
    return operations()[name]


def path_of(name: str, profile: Profile) -> str | None:
    """Where a call lives under the profile's base URL; None when this flavour does not offer it."""
    paths = operation(name).paths
    path = paths.get("gava_standard" if (profile.paths, name) in _UNRELIABLE else profile.paths)
    return path if isinstance(path, str) else None


@cache
def operations() -> dict[str, Operation]:
    """All calls by name."""
    file = msgspec.json.decode(_DATA.read_bytes(), type=_File)
    return {entry.id: Operation(entry.id, entry.paths, entry.mutates_kra_state) for entry in file.operations}


class _Entry(msgspec.Struct):
    id: str
    paths: dict[str, str | list[str] | None]
    mutates_kra_state: bool


class _File(msgspec.Struct):
    operations: list[_Entry]
