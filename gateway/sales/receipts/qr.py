"""QR codes of receipts: as a drawing for pages, as modules for paper, as half-block characters for terminals."""

import io
from collections.abc import Sequence
from functools import lru_cache

import segno

_ALPHANUMERIC = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")  # ISO/IEC 18004 §7.4.4
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


def matrix(content: str) -> Sequence[Sequence[int]]:
    """The modules of the code, 1 for black, without the quiet zone around them.

    Always with the same mask: to weigh all eight against each other takes 7 ms, most of what a receipt may take.
    """
    made = segno.make_qr(_parts(content), error="m", mask=_MASK)  # type: ignore[arg-type]  # as below
    modules: Sequence[Sequence[int]] = made.matrix
    return modules


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
    head, equals, tail = content.partition("Data=")
    return [head + equals, tail] if tail and set(tail) <= _ALPHANUMERIC else content
