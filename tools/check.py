"""All checks that need no test run, one after the other; ends with 1 when one of them found something.

`--fast` leaves out what takes long (types, migrations, generated files); `--write NAME` writes a generated file anew.
"""

import argparse
import difflib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import audit

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
EXPORT = ["export", "--frozen", "--no-default-groups", "--no-emit-project", "--quiet"]
ENVIRONMENT = os.environ | {
    "SECRET_KEY": "only-for-checks-0123456789abcdefghijklmnopqrstuvwxyz",
    "ENCRYPTION_KEY": "Y2hlY2tzLW9ubHktY2hlY2tzLW9ubHktY2hlY2tzLS0=",
    "DATABASE_URL": "sqlite://:memory:",
}


def run(*arguments: str) -> bool:
    """Whether a program of .venv ends well; it speaks for itself when it does not."""
    result = subprocess.run(
        [str(BIN / arguments[0]), *arguments[1:]],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        print(result.stdout)
    return result.returncode == 0


def manage(*arguments: str) -> bool:
    return run("python", "manage.py", *arguments)


def exported_requirements() -> str:
    """What requirements.txt must say: the product's packages as locked, with hashes."""
    return subprocess.run([str(BIN / "uv"), *EXPORT], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def requirements_in_step() -> bool:
    file, wanted = ROOT / "requirements.txt", exported_requirements()
    kept = file.read_text(encoding="utf-8") if file.exists() else ""
    if kept != wanted:
        print("\n".join(list(difflib.unified_diff(kept.splitlines(), wanted.splitlines(), lineterm="", n=0))[:20]))
        print("requirements.txt is not what uv.lock says: run `make requirements` and commit the file.")
    return kept == wanted


def write_requirements() -> bool:
    (ROOT / "requirements.txt").write_text(exported_requirements(), encoding="utf-8")
    return True


FAST: dict[str, Callable[[], bool]] = {
    "format": lambda: run("ruff", "format", "--check"),
    "lint": lambda: run("ruff", "check", "--quiet"),
    "layers": lambda: run("lint-imports", "--no-logo"),
    "links": lambda: run("python", "tools/links.py"),
}
SLOW: dict[str, Callable[[], bool]] = {
    "types": lambda: run("mypy"),
    "migrations": lambda: manage("makemigrations", "--check", "--dry-run"),
    "openapi": lambda: manage("openapi", "--check"),
    "lock": lambda: run("uv", "lock", "--check", "--quiet"),
    "requirements": requirements_in_step,
    "audit": audit.is_sound,
}
WRITE: dict[str, Callable[[], bool]] = {"openapi": lambda: manage("openapi"), "requirements": write_requirements}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="only what takes a second or two")
    parser.add_argument("--write", choices=sorted(WRITE), help="write this generated file instead of checking")
    options = parser.parse_args()
    if options.write:
        sys.exit(not WRITE[options.write]())
    failed = []
    for name, step in (FAST if options.fast else FAST | SLOW).items():
        began = time.monotonic()
        well = step()
        print(f"{'ok  ' if well else 'FAIL'} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        if not well:
            failed.append(name)
    if failed:
        sys.exit(f"These checks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
