"""What a thermal printer does with ESC/POS bytes: the lines it prints, how large, and the codes and pictures between.

Written from Epson's command reference, not from our renderer; a command that it does not know is an error.
"""

from dataclasses import dataclass, field


@dataclass
class Printed:
    lines: list[tuple[str, int, bool]] = field(default_factory=list)  # text, how many times as large, bold
    codes: list[str] = field(default_factory=list)  # contents of QR codes that were printed
    pictures: list[tuple[int, int]] = field(default_factory=list)  # dots wide and high
    drawer_opened: bool = False
    is_cut: bool = False

    @property
    def text(self) -> str:
        return "\n".join(text for text, _, _ in self.lines)


def read_escpos(data: bytes) -> Printed:
    """Carry the commands out."""
    printed, at = Printed(), 0
    line, size, bold, kept = b"", 1, False, ""
    while at < len(data):
        byte = data[at : at + 1]
        command = data[at : at + 2]
        if byte == b"\n":
            printed.lines.append((line.decode("cp1252"), size, bold))
            line, at = b"", at + 1
        elif command == b"\x1b@":
            size, bold, at = 1, False, at + 2
        elif command == b"\x1bt":
            assert data[at + 2] == 16, "code page 1252"
            at += 3
        elif command == b"\x1bE":
            bold, at = bool(data[at + 2]), at + 3
        elif command == b"\x1ba":
            at += 3
        elif command == b"\x1d!":
            size, at = 1 + (data[at + 2] & 7), at + 3
            assert (data[at - 1] >> 4) + 1 == size, "as wide as high"
        elif command == b"\x1bp":
            printed.drawer_opened, at = True, at + 5
        elif command == b"\x1dV":
            assert data[at + 2] in (65, 66)
            printed.is_cut, at = True, at + 4
        elif data[at : at + 3] == b"\x1d(k":
            length = int.from_bytes(data[at + 3 : at + 5], "little")
            function, parameters = data[at + 6], data[at + 7 : at + 5 + length]
            if function == 80:
                kept = parameters[1:].decode()
            elif function == 81:
                printed.codes.append(kept)
            at += 5 + length
        elif data[at : at + 3] == b"\x1dv0":
            wide, high = (int.from_bytes(data[at + first : at + first + 2], "little") for first in (4, 6))
            printed.pictures.append((wide * 8, high))
            at += 8 + wide * high
        else:
            assert byte not in (b"\x1b", b"\x1d"), f"unknown command {data[at : at + 4]!r}"
            line, at = line + byte, at + 1
    assert not line, "the last line ends"
    return printed
