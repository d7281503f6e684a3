"""Refuse files over 1 MB, for pre-commit: `python tools/small_files.py FILE …`."""

import sys
from pathlib import Path

LIMIT = 1_000_000  # bytes

large = [name for name in sys.argv[1:] if Path(name).stat().st_size > LIMIT]
for name in large:
    print(f"{name} is larger than 1 MB: such files do not belong into the repository")
sys.exit(bool(large))
