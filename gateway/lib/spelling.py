"""A name that does not exist, told with the one that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of the known names that was probably meant; None when none is close."""
    close = get_close_matches(name.lower(), list(known), n=1)
    return close[0] if close else None


def no_such_field(name: str, known: Iterable[str]) -> str:
    """A sentence about an unknown field; it names the closest of the known ones if one is close."""
    meant = closest(name, known)
    return f"There is no field {name[:100]}; check its spelling." + (f" Did you mean {meant}?" if meant else "")
