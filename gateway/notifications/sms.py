"""Short messages: what a provider must do, and the one that this installation has, if any.

set_provider(provider)                 # where the process starts
send(to="+254700000000", text="…")     # wherever somebody is to be told
"""

from typing import Protocol


class NotSetUp(Exception):
    """This installation has no SMS provider: nothing was sent."""


class NotTaken(Exception):
    """The provider did not take the message; the text says why. It may be tried again."""


class Provider(Protocol):
    """Somebody who carries short messages."""

    def send(self, *, to: str, text: str) -> None:
        """Hand a message over; `to` is a number such as +254700000000. Raises NotTaken."""


_provider: Provider | None = None


def set_provider(provider: Provider | None) -> None:
    """Name who carries this process's messages."""
    global _provider
    _provider = provider


def is_set_up() -> bool:
    """Whether somebody carries messages here."""
    return _provider is not None


def send(*, to: str, text: str) -> None:
    """Send a message. Raises NotSetUp, NotTaken."""
    if _provider is None:
        raise NotSetUp
    _provider.send(to=to, text=text)
