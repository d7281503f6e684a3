"""Whether a known hole stands in one of the libraries that requirements.txt pins, according to osv.dev."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADVISORIES = "https://api.osv.dev/v1/query"
PATIENCE_SECONDS = 5


def is_reachable(url: str) -> bool:
    """Whether anybody answers there at all, over the proxy of this machine if it has one."""
    try:
        urllib.request.urlopen(url, timeout=PATIENCE_SECONDS).close()
    except urllib.error.HTTPError:
        return True  # it answers, if only that it wants to be asked otherwise
    except (OSError, ValueError):
        return False
    return True


def is_sound(requirements: Path = ROOT / "requirements.txt", *, advisories: str = ADVISORIES) -> bool:
    """False when an advisory fits one of the pinned libraries; it is named. Says so when nobody could be asked.

    That alone is no failure: a machine without internet must be able to run the checks.
    """
    if not is_reachable(advisories):
        print(f"The advisories at {advisories} cannot be reached: the libraries were not audited.")
        return True
    told = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "pip-audit"), "--progress-spinner", "off", "--desc", "on"),
            *("--disable-pip", "--no-deps", "--requirement", str(requirements)),
            *("--vulnerability-service", "osv", "--osv-url", advisories, "--timeout", str(PATIENCE_SECONDS)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if told.returncode and "requests.exceptions" in told.stdout:
        print(f"The advisories at {advisories} stopped answering: the libraries were not audited.")
        return True
    if told.returncode:
        print(told.stdout)
    return told.returncode == 0
