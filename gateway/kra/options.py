"""The parts of a connection profile that an installation may choose, where KRA's sources disagree or hosts differ.

They come as text, `name=value`, from the settings. Address, environment and flavour are not among them: those say which
KRA it is, not how to speak to it.
"""

from collections.abc import Mapping

from gateway.kra.profiles import PROFILES, profile

_TEXTS = ("amount_profile", "package_rule", "stock_package_rule", "unit_padding", "walk_in_name", "walk_in_pin")
_OF_THE_GATEWAY = ("paths", "token_url")  # mean something on GavaConnect only
_NUMBERS = ("quantity_decimals", "connect_seconds", "lookup_seconds", "write_seconds")
NAMES = (*_TEXTS, *_OF_THE_GATEWAY, *_NUMBERS)


def read_options(texts: Mapping[str, str], *, environment: str) -> dict[str, str | int]:
    """What to pass to `profiles.profile` for options given as text.

    Raises ValueError for an option that does not exist, a value that it cannot have, or an address of the other
    environment (`sandbox`, `production`).
    """
    options: dict[str, str | int] = {}
    for name, text in texts.items():
        if name not in NAMES:
            raise ValueError(f"there is no option {name!r}; there are {', '.join(NAMES)}")
        if name in _NUMBERS:
            if not (text.isascii() and text.isdigit()):
                raise ValueError(f"{name} is a whole number")
            options[name] = int(text)
        else:
            options[name] = text
    name = next(known.name for known in PROFILES.values() if known.environment == environment)
    profile(name, **options)
    return options


def without_gateway(options: Mapping[str, str | int]) -> dict[str, str | int]:
    """The same without those that mean something on GavaConnect only."""
    return {name: value for name, value in options.items() if name not in _OF_THE_GATEWAY}
