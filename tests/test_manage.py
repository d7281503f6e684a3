"""manage.py where settings are missing or wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="


def manage(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as on a machine that has none of our secrets but these."""
    ours = {"SECRET_KEY", "SECRET_KEY_FILE", "ENCRYPTION_KEY", "ENCRYPTION_KEY_FILE"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    program = [sys.executable, "manage.py", *arguments]
    return subprocess.run(program, env={**kept, **settings}, capture_output=True, text=True, check=False, cwd=ROOT)


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
    done = manage("lanes", "list", **settings)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert sentence in line and line.endswith("(see docs/reference/settings.md).")


@pytest.mark.parametrize("command", ["demo", "sell", "run_simulator", "openapi"])
def test_what_seals_nothing_works_on_a_fresh_clone(command: str) -> None:
    done = manage(command, "--help")
    assert (done.returncode, done.stderr) == (0, "") and f"manage.py {command}" in done.stdout


def test_a_rehearsed_certification_works_on_a_fresh_clone_and_a_real_one_wants_the_master_key(tmp_path: Path) -> None:
    rehearsed = manage("certify", "--simulator", "--out", str(tmp_path / "evidence"))
    assert rehearsed.returncode == 0 and "24 passed" in rehearsed.stdout
    assert "Set the SECRET_KEY environment variable" in manage("certify", "--flavour", "gavaconnect").stderr
