"""QR codes read as a phone reads them: from a picture, by a decoder that is not ours."""

import re
import subprocess
import zlib
from pathlib import Path

import zxingcpp

SCALE = 4
_UNREAD = "there is no QR code that can be read"


def read_svg(svg: str) -> str:
    """What the QR code of an inline SVG says: its path of horizontal strokes drawn four pixels a module."""
    size = int(re.search(r'viewBox="0 0 (\d+) \1"', svg)[1])  # type: ignore[index]
    path = re.search(r'stroke="#000" d="M([^"]+)"', svg)[1]  # type: ignore[index]
    assert 'fill="#fff"' in svg and 'stroke="#000"' in svg, "black on white"
    scale = int(found[1]) if (found := re.search(r"scale\((\d+)\)", svg)) else 1
    modules = size // scale
    rows = [bytearray(b"\xff" * modules) for _ in range(modules)]
    stroke = path.rsplit("M", 1)[-1]
    first = re.match(r"(\d+) (\d+)\.5", stroke)
    assert first
    column, row = int(first[1]), int(first[2])
    for command in re.finditer(r"m(-?\d+) (-?\d+)|h(\d+)", stroke[first.end() :]):
        if command[3]:
            rows[row][column : column + int(command[3])] = bytes(int(command[3]))
            column += int(command[3])
        else:
            column, row = column + int(command[1]), row + int(command[2])
    return _read([bytes(row) for row in rows])


def read_half_blocks(lines: list[str], *, dark_terminal: bool = True) -> str:
    """What half-block characters say when a terminal draws them."""
    upper, lower = {"█", "▀"}, {"█", "▄"}
    drawn, blank = (255, 0) if dark_terminal else (0, 255)
    width = max(map(len, lines))
    rows = [[blank] * width for _ in range(8)]  # the terminal goes on around the code
    for line in lines:
        rows.append([drawn if letter in upper else blank for letter in line.ljust(width)])
        rows.append([drawn if letter in lower else blank for letter in line.ljust(width)])
    rows += [[blank] * width for _ in range(8)]
    return _read([bytes(row) for row in rows])


def screenshot(browser_program: str, page: Path, *, width: int, height: int) -> Path:
    """The page as Chromium shows it, as a PNG file beside it."""
    picture = page.with_suffix(f".{width}.png")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={picture}"]
    subprocess.run(
        [browser_program, *arguments, f"--window-size={width},{height}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return picture


def draw_pdf(pdf_program: str, content: bytes, folder: Path, *, dots_per_inch: int = 200) -> list[Path]:
    """The pages of a PDF file as a printer draws them, as PNG files."""
    (folder / "file.pdf").write_bytes(content)
    subprocess.run(
        [pdf_program, "-r", str(dots_per_inch), "-png", str(folder / "file.pdf"), str(folder / "page")],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return sorted(folder.glob("page-*.png"))


def read_png(picture: Path) -> str:
    """What the QR code somewhere in a PNG file says."""
    return _read(_grey_rows(picture.read_bytes()), scale=1)


def _read(rows: list[bytes], scale: int = SCALE) -> str:
    wide = [bytes(value for value in row for _ in range(scale)) for row in rows for _ in range(scale)]
    image = memoryview(b"".join(wide)).cast("B", (len(wide), len(wide[0])))
    found = zxingcpp.read_barcodes(image)
    assert len(found) == 1, _UNREAD
    return str(found[0].text)


def _grey_rows(png: bytes) -> list[bytes]:
    """The green channel of a PNG with 8 bits a channel, RGB or RGBA, not interlaced (W3C PNG §9)."""
    at, packed = 8, b""
    width = channels = 0
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        data = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width = int.from_bytes(data[:4])
            channels = {2: 3, 6: 4}[data[9]]
            assert data[8] == 8 and data[12] == 0
        elif kind == b"IDAT":
            packed += data
        at += 12 + length
    raw = zlib.decompress(packed)
    stride = width * channels
    rows, above = [], bytearray(stride)
    for start in range(0, len(raw), stride + 1):
        row = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], row, above, channels)
        rows.append(bytes(row[1::channels]))
        above = row
    return rows


def _unfilter(kind: int, row: bytearray, above: bytearray, step: int) -> None:
    for at in range(len(row)) if kind else ():
        left = row[at - step] if at >= step else 0
        up = above[at]
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            corner = above[at - step] if at >= step else 0
            guess = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
        row[at] = (row[at] + guess) & 255
