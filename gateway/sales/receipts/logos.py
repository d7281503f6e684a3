"""The pictures at the head of a receipt: KRA's, which the installation is given, and the company's own.

They are part of the look, not of what was signed: a print shows those of today, also of an old document.
"""

import io
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

MOST_LOGO_BYTES = 200_000
LEAST_SIDE, MOST_SIDE = 32, 2000  # pixels
CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}


class Logos(NamedTuple):
    """PNG or JPEG files; an empty one leaves its place empty."""

    kra: bytes = b""
    company: bytes = b""


NO_LOGOS = Logos()


class BadLogo(Exception):
    """The file cannot be a logo; the text says why, in a sentence."""


def check_logo(content: bytes) -> str:
    """The content type of a file that can be a logo. Raises BadLogo."""
    from PIL import Image, UnidentifiedImageError  # 50 ms at the start of each process otherwise

    if len(content) > MOST_LOGO_BYTES:
        raise BadLogo(f"A logo has at most {MOST_LOGO_BYTES // 1000} KB.")
    try:
        with Image.open(io.BytesIO(content), formats=list(CONTENT_TYPES)) as image:
            kind, sides = image.format or "", image.size
            if not all(LEAST_SIDE <= side <= MOST_SIDE for side in sides):
                raise BadLogo(
                    f"A logo is {LEAST_SIDE} to {MOST_SIDE} pixels wide and high; this one is {sides[0]} x {sides[1]}."
                )
            image.load()  # all of it, so that no broken file is met when a receipt is printed
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BadLogo("A logo is a PNG or JPEG file that can be opened.") from None
    return CONTENT_TYPES[kind]


@lru_cache(maxsize=4)
def logo_file(path: str) -> bytes:
    """The file of KRA's logo, read once; empty without a path. Raises BadLogo, OSError."""
    if not path:
        return b""
    content = Path(path).read_bytes()
    check_logo(content)
    return content
