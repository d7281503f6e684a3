"""The demo that readers of the documents have running, in a folder that looks like the project's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.ops.children import Child, free_port
from tests.docs.pages import ROOT, Example

README_ADDRESS = "http://127.0.0.1:8000"
READY = "Ctrl-C stops"
SETTINGS = {"SECRET_KEY", "ENCRYPTION_KEY", "DATABASE_URL"}  # of the tests; a reader has none


@dataclass
class Reader:
    """Somebody at a shell in the project's folder, with `make demo` running beside it."""

    folder: Path
    gateway: str
    printed: str  # by the demo

    @property
    def key(self) -> str:
        return (self.folder / "var" / "demo" / "key").read_text(encoding="utf-8").strip()

    def follow(self, examples: list[Example]) -> list[str]:
        """Run a page's examples in one shell, as a reader would; what each of them printed."""
        mark = "\n@@ next @@\n"
        script = "".join(f"{example.script}\nprintf '%s' '{mark}'\n" for example in examples)
        done = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", script.replace(README_ADDRESS, self.gateway)],
            cwd=self.folder,
            env={
                **{name: value for name, value in os.environ.items() if name not in SETTINGS},
                "GATEWAY_KEY": self.key,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{done.stdout[-2000:]}"
        return done.stdout.split(mark)[:-1]


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "var").mkdir()
    for name in ("examples", "gateway", "manage.py"):
        (folder / name).symlink_to(ROOT / name)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    port, log = free_port(), folder / "demo.log"
    demo = ["-u", "-m", "gateway.ops", "demo", "--folder", str(folder / "var" / "demo"), "--port", str(port)]
    child = Child("The demo", [sys.executable, *demo], log=log, cwd=ROOT)
    try:
        child.wait_until(lambda: READY in log.read_text(encoding="utf-8"), seconds=300)
        yield Reader(folder, f"http://127.0.0.1:{port}", log.read_text(encoding="utf-8"))
    finally:
        child.stop()
