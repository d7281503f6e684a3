"""manage.py where settings are missing or wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "Set the SECRET_KEY environment variable"),
        ({"SECRET_KEY": "short", "ENCRYPTION_KEY": KEY}, "SECRET_KEY must have at least 32 characters"),
        ({"SECRET_KEY_FILE": "nowhere"}, "SECRET_KEY_FILE names nowhere, which cannot be read: No such file"),
        ({"SECRET_KEY": "x" * 32, "ENCRYPTION_KEY": "x"}, "ENCRYPTION_KEY must be"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_told_in_one_sentence(settings: dict[str, str], sentence: str) -> None:
    ours = {"SECRET_KEY", "SECRET_KEY_FILE", "ENCRYPTION_KEY", "ENCRYPTION_KEY_FILE"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "manage.py", "lanes", "list"],
        env={**kept, **settings},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert sentence in line and line.endswith("(see docs/reference/settings.md).")
