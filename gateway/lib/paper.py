"""What is printed, as PDF: sheets of A4 and rolls of paper, drawn from the top down with a few simple things.

    sheet = Sheet(ROLL_80)
    sheet.text("Amani Stores Ltd", align="centre", bold=True, size=11)
    sheet.row("TOTAL", "8,445.00", bold=True)
    content = pdf([sheet], title="Receipt POS-1")

A roll's page is as long as what stands on it; A4 goes on on the next page. Lengths are millimetres, sizes of letters
points. The letters are DejaVu Sans Condensed, of which what is used goes into the file, so that every reader shows and
prints the same: Latin, Greek, Cyrillic, arrows, currencies and signs. What the font lacks (Chinese, emoji) is shown as
"�". The same sheets give the same bytes.
"""

import io
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from reportlab import rl_config
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont, TTFontFace
from reportlab.pdfgen.canvas import Canvas

MM = 72 / 25.4  # points
_STRIP = re.compile(rb"\x01+")  # of black modules
_QUIET = 4  # modules of white around a QR code, ISO/IEC 18004 §5.3.8
LEADING = 1.22  # height of a line, in sizes of its letters
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

Align = Literal["left", "centre", "right"]
_REGULAR, _BOLD = "Paper", "Paper-Bold"
_FILES = {_REGULAR: "DejaVuSansCondensed.ttf", _BOLD: "DejaVuSansCondensed-Bold.ttf"}
_BLACK, _FAINT = 0.0, 0.9

rl_config.useA85 = 0  # binary streams: a third shorter, and 5 ms less work a file


class Paper(NamedTuple):
    """Width and margin of what is printed on; without a height it is a roll. `size` is that of its usual letters."""

    width: float
    height: float | None
    margin: float
    size: float


A4 = Paper(210, 297, 15, 8.5)
ROLL_80 = Paper(80, None, 4, 7.5)  # printers reach 72 mm of the 80


class Column(NamedTuple):
    """A column of a table: its part of the width, and where its text stands."""

    share: float
    align: Align = "left"


@dataclass(slots=True)
class _Text:
    x: float
    y: float  # of the base line, from the top of the page
    text: str
    font: str
    size: float


@dataclass(slots=True)
class _Line:
    x: float
    y: float
    length: float


@dataclass(slots=True)
class _Box:
    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class _Picture:
    x: float
    y: float
    width: float
    height: float
    image: ImageReader


@dataclass(slots=True)
class _Code:
    x: float
    y: float
    side: float
    matrix: Sequence[bytes]


_Thing = _Text | _Line | _Box | _Picture | _Code


class Sheet:
    """What is printed, gathered from the top down; `pdf` makes a file of sheets.

    `watermark` stands behind everything, aslant, on each page, and along a roll again and again.
    """

    def __init__(self, paper: Paper, *, watermark: str = "") -> None:
        self.paper = paper
        self.watermark = legible(watermark)
        self.width = paper.width - 2 * paper.margin  # millimetres that can be written on
        self._left = paper.margin * MM
        self._room = self.width * MM
        self._end = paper.height * MM - paper.margin * MM if paper.height else None
        self._y = paper.margin * MM
        self._pages: list[list[_Thing]] = [[]]
        self._kept: list[_Thing] | None = None

    def text(
        self,
        text: str,
        *,
        align: Align = "left",
        size: float = 0,
        bold: bool = False,
        indent: float = 0,
        width: float = 0,
    ) -> None:
        """A text on as many lines as it needs. `indent` and `width` narrow it, in millimetres."""
        size = size or self.paper.size
        font = _BOLD if bold else _REGULAR
        left, room = self._left + indent * MM, (width or self.width - indent) * MM
        for line in wrap(text, font, size, room):
            self._need(size * LEADING)
            self._put(line, font, size, left, room, align)
            self._y += size * LEADING

    def row(self, name: str, value: str, *, size: float = 0, bold: bool = False, indent: float = 0) -> None:
        """A name at the left, its value at the right; below each other where they do not fit on one line."""
        size = size or self.paper.size
        font = _BOLD if bold else _REGULAR
        left, room = self._left + indent * MM, self._room - indent * MM
        if width_of(name, font, size) + width_of(value, font, size) + size <= room:
            self._need(size * LEADING)
            self._put(legible(name), font, size, left, room, "left")
            self._put(legible(value), font, size, left, room, "right")
            self._y += size * LEADING
            return
        self.text(name, size=size, bold=bold, indent=indent)
        self.text(value, size=size, bold=bold, indent=indent, align="right")

    def cells(
        self, texts: Sequence[str], columns: Sequence[Column], *, size: float = 0, bold: bool = False, gap: float = 1.5
    ) -> None:
        """A row of a table, each text wrapped in its column; columns stand `gap` millimetres apart."""
        size = size or self.paper.size
        font = _BOLD if bold else _REGULAR
        whole = self._room - gap * MM * (len(columns) - 1)
        shares = sum(column.share for column in columns)
        placed, left = [], self._left
        for text, column in zip(texts, columns, strict=True):
            room = whole * column.share / shares
            placed.append((left, room, column.align, wrap(text, font, size, room)))
            left += room + gap * MM
        height = max(len(lines) for *_, lines in placed) * size * LEADING
        self._need(height)
        top = self._y
        for left, room, align, lines in placed:
            self._y = top
            for line in lines:
                self._put(line, font, size, left, room, align)
                self._y += size * LEADING
        self._y = top + height

    def rule(self, *, gap: float = 1) -> None:
        """A thin line over the whole width, with as much room above and below it."""
        self.gap(gap)
        self._need(1)
        self._add(_Line(self._left, self._y, self._room))
        self.gap(gap)

    def gap(self, height: float) -> None:
        """Empty room."""
        self._y += height * MM

    def notice(self, text: str, *, size: float) -> None:
        """A large text in the middle, in a frame; it may have several lines."""
        font, pad = _BOLD, 1.2 * MM
        lines = [line for part in text.split("\n") for line in wrap(part, font, size, self._room - 4 * pad)]
        height = len(lines) * size * LEADING + 2 * pad
        self._need(height)
        self._add(_Box(self._left, self._y, self._room, height))
        self._y += pad
        for line in lines:
            self._put(line, font, size, self._left, self._room, "centre")
            self._y += size * LEADING
        self._y += pad

    def picture(self, image: ImageReader, *, width: float, height: float, align: Align = "centre") -> None:
        """A picture, as large as it can be within a width and a height, keeping its shape."""
        pixels_wide, pixels_high = image.getSize()
        scale = min(width * MM / pixels_wide, height * MM / pixels_high)
        wide, high = pixels_wide * scale, pixels_high * scale
        self._need(high)
        self._add(_Picture(self._left + _shift(align, self._room, wide), self._y, wide, high, image))
        self._y += high

    def code(self, matrix: Sequence[bytes], *, side: float, align: Align = "centre", advance: bool = True) -> None:
        """A QR code as black squares, rows of modules, 1 for black; `side` is that with its quiet zone around it.

        Not `advance`: the text goes on beside it.
        """
        self._need(side * MM)
        self._add(_Code(self._left + _shift(align, self._room, side * MM), self._y, side * MM, matrix))
        if advance:
            self._y += side * MM

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is put in this block stands on one page, if a page is long enough for it."""
        if self._end is None or self._kept is not None:
            yield
            return
        start, self._kept, end, self._end = self._y, [], self._end, None
        yield
        kept, self._kept, self._end = self._kept, None, end
        if self._y > end and start > self.paper.margin * MM:
            down = start - self.paper.margin * MM
            for thing in kept:
                thing.y -= down
            self._pages.append(kept)
            self._y -= down
        else:
            self._pages[-1] += kept

    @contextmanager
    def narrowed(self, indent: float, width: float) -> Iterator[None]:
        """What is put in this block stands within a part of the width, in millimetres."""
        before = self._left, self._room, self.width
        self._left, self._room, self.width = self._left + indent * MM, width * MM, width
        yield
        self._left, self._room, self.width = before

    @contextmanager
    def beside(self) -> Iterator[Callable[[], None]]:
        """Two things beside each other: after the first, call what is given to begin the second as high up.

        Both stand on one page; after the block it goes on below the longer one.
        """
        with self.together():
            top, ends = self._y, []

            def again() -> None:
                ends.append(self._y)
                self._y = top

            yield again
            self._y = max([self._y, *ends])

    def draw(self, canvas: Canvas) -> None:
        """Add the pages to a file. A4 pages get their number where there are several."""
        paper, count = self.paper, len(self._pages)
        height = paper.height * MM if paper.height else self._y + paper.margin * MM
        for number, things in enumerate(self._pages, start=1):
            canvas.setPageSize((paper.width * MM, height))
            if self.watermark:
                _draw_watermark(canvas, self.watermark, paper.width * MM, height, is_roll=paper.height is None)
            _draw(canvas, things, height)
            if count > 1:
                canvas.setFont(_REGULAR, 7)
                canvas.drawCentredString(paper.width * MM / 2, paper.margin * MM / 2, f"{number} / {count}")
            canvas.showPage()

    def _put(self, text: str, font: str, size: float, left: float, room: float, align: Align) -> None:
        x = left if align == "left" else left + _shift(align, room, width_of(text, font, size))
        self._add(_Text(x, self._y + size * 0.95, text, font, size))

    def _add(self, thing: _Thing) -> None:
        (self._pages[-1] if self._kept is None else self._kept).append(thing)

    def _need(self, height: float) -> None:
        """Begin another page where there is no room left for this much."""
        if self._end is not None and self._y + height > self._end and self._pages[-1]:
            self._pages.append([])
            self._y = self.paper.margin * MM


def pdf(sheets: Iterable[Sheet], *, title: str, author: str = "", language: str = "en") -> bytes:
    """A PDF file of the sheets, one after the other. `sheets` may be made while they are drawn: none is kept."""
    _have_fonts()
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=1, invariant=1, lang=language)
    canvas.setTitle(title)
    canvas.setAuthor(author)
    canvas.setCreator("Revpay Connect eTIMS Gateway")
    for sheet in sheets:
        sheet.draw(canvas)
    canvas.save()
    return out.getvalue()


# Text


def legible(text: str) -> str:
    """The text in letters that the font has: composed (NFC), and "�" for each letter that it lacks."""
    if text.isascii():
        return text
    have = _widths(_REGULAR)
    composed = unicodedata.normalize("NFC", text)
    return "".join(letter if ord(letter) in have or letter == "\xa0" else REPLACEMENT for letter in composed)


def width_of(text: str, font: str, size: float) -> float:
    """How wide a text is, in points."""
    return _width(text, font) * size / 1000


def wrap(text: str, font: str, size: float, room: float) -> list[str]:
    """The text in lines of at most `room` points, broken at spaces; a longer word is broken where the line ends."""
    text = legible(text)
    if width_of(text, font, size) <= room:
        return [text]
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if width_of(longer, font, size) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        line = ""
        for letter in word:
            if line and width_of(line + letter, font, size) > room:
                lines.append(line)
                line = ""
            line += letter
    return [*lines, line] if line else lines


def _shift(align: Align, room: float, width: float) -> float:
    return {"left": 0.0, "centre": (room - width) / 2, "right": room - width}[align]


class _Compress:
    """Flate for streams that come again and again: each is compressed once a process."""

    pdfname = "FlateDecode"

    @staticmethod
    @lru_cache(maxsize=64)
    def encode(content: bytes | str) -> bytes:
        return zlib.compress(content if isinstance(content, bytes) else content.encode("ascii"))


class _Face(TTFontFace):  # type: ignore[misc]  # has no types
    """A face that makes each subset once: most files need the same one, of the ASCII letters."""

    def makeSubset(self, subset: Sequence[int]) -> bytes:  # its name
        return _subset(self, tuple(subset))

    def make_anew(self, subset: Sequence[int]) -> bytes:
        made: bytes = super().makeSubset(list(subset))
        return made

    def addSubsetObjects(self, doc: Any, fontname: str, subset: Sequence[int]) -> Any:  # its name
        made = super().addSubsetObjects(doc, fontname, subset)
        doc.idToObject[f"fontFile:{self.filename}({fontname})"].filters = [_Compress]
        return made


class _Font(TTFont):  # type: ignore[misc]  # has no types
    """A font whose widths are written once: as an array of numbers they are half of a small file's objects."""

    def addObjects(self, doc: Any) -> None:  # its name
        before = set(doc.idToObject["BasicFonts"].dict)
        super().addObjects(doc)
        for name, made in doc.idToObject["BasicFonts"].dict.items():
            if name not in before:
                made.Widths = _numbers(tuple(made.Widths.sequence))
                doc.idToObject[f"toUnicodeCMap:{made.BaseFont}"].filters = [_Compress]


@lru_cache(maxsize=64)
def _subset(face: _Face, subset: tuple[int, ...]) -> bytes:
    return face.make_anew(subset)


@lru_cache(maxsize=64)
def _numbers(numbers: tuple[float, ...]) -> bytes:
    return f"[ {' '.join(f'{number:g}' for number in numbers)} ]".encode()


@lru_cache(maxsize=1)
def _have_fonts() -> dict[str, Any]:
    """Both fonts, read once and known to reportlab by their names."""
    fonts = {}
    for name, file in _FILES.items():
        # asciiReadable: the first subset begins with all of ASCII, in its own codes
        font = _Font(name, str(Path(__file__).parent / "fonts" / file), asciiReadable=1)
        font.face.__class__ = _Face
        pdfmetrics.registerFont(font)
        fonts[name] = font
    return fonts


@lru_cache(maxsize=4096)
def _width(text: str, font: str) -> float:
    """Of letters a thousand points high. Most of what stands on a receipt stands on the next one too."""
    widths = _widths(font)
    return sum([widths.get(code, 600) for code in map(ord, text)])


@lru_cache(maxsize=2)
def _widths(font: str) -> dict[int, float]:
    widths: dict[int, float] = _have_fonts()[font].face.charWidths
    return widths


# Drawing


def _draw(canvas: Canvas, things: Sequence[_Thing], height: float) -> None:
    canvas.setFillGray(_BLACK)
    canvas.setStrokeGray(_BLACK)
    canvas.setLineWidth(0.5)
    for thing in things:
        match thing:
            case _Line(x, y, length):
                canvas.line(x, height - y, x + length, height - y)
            case _Box(x, y, wide, high):
                canvas.rect(x, height - y - high, wide, high)
            case _Picture(x, y, wide, high, image):
                canvas.drawImage(image, x, height - y - high, wide, high, mask="auto")
            case _Code(x, y, side, matrix):
                _draw_code(canvas, matrix, x, height - y, side)
    _draw_texts(canvas, [thing for thing in things if isinstance(thing, _Text)], height)


def _draw_texts(canvas: Canvas, texts: Sequence[_Text], height: float) -> None:
    """All texts of a page as one text object; written straight, which takes a third of the time of reportlab's own."""
    fonts, file = _have_fonts(), canvas._doc
    for font in {one.font for one in texts}:
        fonts[font].splitString("", file)  # the file has the font from now on
    said, present = ["BT"], ("", -1, 0.0)
    for one in texts:
        said.append(f"1 0 0 1 {one.x:.2f} {height - one.y:.2f} Tm")
        for subset, codes in _codes(fonts[one.font], one.text, file):
            if present != (one.font, subset, one.size):
                present = (one.font, subset, one.size)
                said.append(f"{fonts[one.font].getSubsetInternalName(subset, file)} {one.size:.2f} Tf")
            said.append(f"<{codes.hex()}> Tj")
    canvas.addLiteral("\n".join([*said, "ET"]))


def _codes(font: _Font, text: str, file: Any) -> list[tuple[int, bytes]]:
    """The text in pieces, each of letters of one subset of the font; ASCII has its own codes in the first one."""
    if text and text.isascii() and text.isprintable():
        return [(0, text.encode())]
    pieces: list[tuple[int, bytes]] = font.splitString(text, file)
    return pieces


def _draw_code(canvas: Canvas, matrix: Sequence[bytes], x: float, top: float, side: float) -> None:
    """One path of black strips, in units of a module."""
    strips = [
        f"{strip.start()} {-row} {strip.end() - strip.start()} 1 re"
        for row, modules in enumerate(matrix, start=1)
        for strip in _STRIP.finditer(modules)
    ]
    scale = side / (len(matrix) + 2 * _QUIET)
    canvas.saveState()
    canvas.setFillGray(1)  # a watermark must not reach into it
    canvas.rect(x, top - side, side, side, stroke=0, fill=1)
    canvas.setFillGray(_BLACK)
    canvas.transform(scale, 0, 0, scale, x + _QUIET * scale, top - _QUIET * scale)
    canvas.addLiteral("\n".join([*strips, "f"]))
    canvas.restoreState()


def _draw_watermark(canvas: Canvas, text: str, width: float, height: float, *, is_roll: bool) -> None:
    size = min(110.0, 0.95 * width / width_of(text, _BOLD, 1))
    canvas.saveState()
    canvas.setFillGray(_FAINT)
    canvas.setFont(_BOLD, size)
    step = width * 1.1 if is_roll else height / 2
    for place in range(max(1, round(height / step))):
        canvas.saveState()
        canvas.translate(width / 2, height - step * (place + 0.5))
        canvas.rotate(35)
        canvas.drawCentredString(0, -size / 3, text)
        canvas.restoreState()
    canvas.restoreState()
