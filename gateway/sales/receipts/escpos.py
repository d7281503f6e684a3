"""Receipts and slips as bytes for thermal printers: ESC/POS (Epson's command reference; cheap printers follow it).

Only commands that printers of every make know. Letters are those of code page 1252; others lose their accents or become
a plain stand-in, and what has none is printed as "?".
"""

import io
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from PIL import Image

from gateway.sales.receipts.document import ReceiptDocument
from gateway.sales.receipts.logos import NO_LOGOS, Logos
from gateway.sales.receipts.roll import Centred, Code, Marks, Notice, Piece, Place, Row, pieces
from gateway.sales.receipts.text import centred, lines_of

WIDTHS = {"58mm": 32, "80mm": 48}  # letters of font A on a line
_DOTS = {"58mm": 384, "80mm": 576}
_MODULE_DOTS = {"58mm": 5, "80mm": 6}  # of a QR code; at 203 dots an inch 0.6 and 0.75 mm
_LOGO_DOTS = 160  # 20 mm high at most

_START = b"\x1b@\x1bt\x10"  # ESC @: as switched on; ESC t 16: code page 1252
_BOLD, _NOT_BOLD = b"\x1bE\x01", b"\x1bE\x00"
_LARGE, _USUAL = b"\x1d!\x11", b"\x1d!\x00"  # twice as wide and as high, and back
_LEFT, _MIDDLE = b"\x1ba\x00", b"\x1ba\x01"
_CUT = b"\x1dVB\x00"  # GS V B: feed to the knife, then cut all but a point
_DRAWER = b"\x1bp\x00\x19\xfa"  # ESC p: pin 2, 50 ms on, 500 ms off
_STAND_INS = str.maketrans({"→": ">", "←": "<", "−": "-", "≤": "<", "≥": ">", "\u202f": " ", "₦": "N"})  # noqa: RUF001


def receipt_escpos(
    document: ReceiptDocument, *, paper: str, logos: Logos = NO_LOGOS, opens_drawer: bool = False
) -> bytes:
    """What to send to the printer as it is; `paper` is "58mm" or "80mm". The paper is cut at the end."""
    return roll_escpos(pieces(document), paper=paper, logos=logos, opens_drawer=opens_drawer)


def roll_escpos(roll: Iterable[Piece], *, paper: str, logos: Logos = NO_LOGOS, opens_drawer: bool = False) -> bytes:
    """Whatever runs down a roll, for the printer."""
    out = [_START]
    if opens_drawer:
        out.append(_DRAWER)
    for piece in roll:
        out.append(_printed(piece, paper, logos))
    return b"".join([*out, b"\n", _CUT])


def _printed(piece: Piece, paper: str, logos: Logos) -> bytes:
    width = WIDTHS[paper]
    match piece:
        case Place.KRA_LOGO:
            return _picture(logos.kra, _DOTS[paper])
        case Place.COMPANY_LOGO:
            return _picture(logos.company, _DOTS[paper])
        case Notice(text):
            rule = b"=" * width + b"\n"
            return rule + _LARGE + _lines(centred(text, width // 2)) + _USUAL + rule
        case Code(content, link, words):
            code = _code(content, _MODULE_DOTS[paper])
            said = _lines(centred(words, width)) if link else b""
            return _MIDDLE + code + _LEFT + said
        case Marks() | Centred(_, True) | Row(_, _, True):
            return _BOLD + _lines(lines_of(piece, width=width)) + _NOT_BOLD
    return _lines(lines_of(piece, width=width))


def _lines(lines: Iterable[str]) -> bytes:
    return b"".join(_encoded(line.rstrip()) + b"\n" for line in lines)


def _encoded(text: str) -> bytes:
    """In code page 1252, one byte for each letter, so that columns stay where they are."""
    try:
        return text.encode("cp1252")
    except UnicodeEncodeError:
        return b"".join(_letter(letter) for letter in unicodedata.normalize("NFC", text).translate(_STAND_INS))


def _letter(letter: str) -> bytes:
    for tried in (letter, unicodedata.normalize("NFKD", letter)[:1]):
        try:
            return tried.encode("cp1252")
        except UnicodeEncodeError:
            continue
    return b"?"


def _code(content: str, module_dots: int) -> bytes:
    """GS ( k: a QR code of model 2, error level M, which the printer draws itself."""

    def function(number: int, parameters: bytes) -> bytes:
        rest = bytes([49, number]) + parameters
        return b"\x1d(k" + len(rest).to_bytes(2, "little") + rest

    return (
        function(65, b"\x32\x00")  # model 2
        + function(67, bytes([module_dots]))
        + function(69, b"\x31")  # error level M
        + function(80, b"\x30" + content.encode())  # keep it
        + function(81, b"\x30")  # print it
        + b"\n"
    )


@lru_cache(maxsize=16)
def _picture(content: bytes, dots: int) -> bytes:
    """GS v 0: a logo as dots, in the middle; nothing where there is none."""
    if not content:
        return b""
    image: Image.Image = Image.open(io.BytesIO(content)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert("L")
    image.thumbnail((dots * 7 // 10, _LOGO_DOTS))
    bits = Image.new("L", ((image.width + 7) // 8 * 8, image.height), 255)
    bits.paste(image, (0, 0))
    rows = bits.convert("1").point(lambda dot: 255 - dot)
    head = b"\x1dv0\x00" + (rows.width // 8).to_bytes(2, "little") + rows.height.to_bytes(2, "little")
    return _MIDDLE + head + rows.tobytes() + b"\n" + _LEFT
