"""QR codes of receipts: as a drawing for pages, as modules for paper, as half-block characters for terminals."""

import io
from collections.abc import Sequence
from functools import lru_cache

import segno

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"  # ISO/IEC 18004 §7.4.4, by their values
_MASK = 4
_QUIET = 4  # modules of white around the code, ISO/IEC 18004 §5.3.8


def svg(content: str, name: str) -> str:
    """The code as an SVG element to stand inside a page: black on white, with its quiet zone, sized by the page.

    `name`, plain text of ours, is what a screen reader says.
    """
    drawing: str = _code(content, "m").svg_inline(
        border=_QUIET, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None
    )
    return drawing.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def matrix(content: str) -> Sequence[bytes]:
    """The modules of the code, rows of 1 for black and 0, without the quiet zone around them.

    Always with the same mask: to weigh all eight against each other takes 7 ms, most of what a receipt may take.
    """
    head, tail = _parted(content)
    if tail and not tail.isdigit():  # digits alone would be packed otherwise
        return _codes_like(head, len(tail)).matrix(tail)
    return _made(content)


def _made(content: str) -> Sequence[bytes]:
    made = segno.make_qr(_parts(content), error="m", mask=_MASK)  # type: ignore[arg-type]  # as below
    return [bytes(row) for row in made.matrix]


class _CodesLike:
    """Codes whose content has the same head and a tail of the same length: each teaches something about the others.

    To make a code takes 3 ms. With size, error level and mask given, each module is the exclusive or of some bits of
    the content, or its opposite: the error correction is linear, and all else only puts modules in their places and
    turns some over (ISO/IEC 18004 §7.5 to 7.8). So where the bits of a content are those of known ones, put together,
    its modules are theirs, put together. After some hundred and sixty codes there is nothing more to learn.
    """

    def __init__(self, head: str) -> None:
        self._head = head
        self._side = 0
        self._known: dict[int, tuple[int, int]] = {}  # by its highest bit: bits of a content, and the modules

    def matrix(self, tail: str) -> Sequence[bytes]:
        bits, modules = _bits(tail), 0
        while bits and (known := self._known.get(bits.bit_length())):
            bits ^= known[0]
            modules ^= known[1]
        if bits:  # there is something new in it
            made = _made(self._head + tail)
            self._side = len(made)
            self._known[bits.bit_length()] = (bits, modules ^ int.from_bytes(b"".join(made)))
            return made
        side, flat = self._side, modules.to_bytes(self._side**2)
        return [flat[start : start + side] for start in range(0, side**2, side)]


@lru_cache(maxsize=16)
def _codes_like(head: str, length: int) -> _CodesLike:
    """Those of a length; the other words of the link are the same for all."""
    return _CodesLike(head)


def _bits(tail: str) -> int:
    """A one, which stands for all that does not change, and the tail as it is packed: two letters in 11 bits."""
    values = [_ALPHANUMERIC.index(letter) for letter in tail]
    bits = 1
    for first, second in zip(values[::2], values[1::2], strict=False):
        bits = bits << 11 | 45 * first + second
    return bits << 6 | values[-1] if len(values) % 2 else bits


def half_blocks(content: str, width: int) -> list[str] | None:
    """The code as lines of at most `width` characters, two modules high each; None where it does not fit.

    Light modules are drawn, so that it reads as it is on a dark terminal, and inverted on a light one (which the
    readers of today's phones take too).
    """
    code = _code(content, "l")
    border = min(_QUIET, (width - len(code.matrix)) // 2)
    if border < 1:
        return None
    out = io.StringIO()
    code.terminal(out=out, border=border, compact=True)
    return out.getvalue().splitlines()


@lru_cache(maxsize=64)
def _code(content: str, error: str) -> segno.QRCode:
    """At least the named error level."""
    return segno.make_qr(_parts(content), error=error)  # type: ignore[arg-type]  # takes segments too, its stub does not say so


def _parts(content: str) -> str | list[str]:
    """The capitals and digits after `Data=` are packed closer than a link's letters."""
    head, tail = _parted(content)
    return [head, tail] if tail else content


def _parted(content: str) -> tuple[str, str]:
    head, equals, tail = content.partition("Data=")
    return (head + equals, tail) if set(tail) <= set(_ALPHANUMERIC) else (content, "")
