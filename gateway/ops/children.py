"""Programs that run beside this one: started with a log of their own, awaited, ended in order, never left behind."""

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.02
_SHOWN_CHARACTERS = 2000  # of a log


class ChildDied(Exception):
    """A program ended, or did not start in time; the message names it and shows the end of its log."""


class Child:
    """A running program. `log` takes all it says."""

    def __init__(
        self, name: str, arguments: list[str], *, log: Path, environment: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        self.name, self.log = name, log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*_tied_to_us(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                process_group=0,  # Ctrl-C is for us; we end our children in order
                **more,
            )

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def death(self) -> ChildDied:
        """What to tell when it ended and should not have."""
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-_SHOWN_CHARACTERS:].strip()
        how = f"ended with code {self.process.returncode}" if self.has_ended else "did not start in time"
        return ChildDied(f"{self.name} {how}. Its log is {self.log}:\n{tail}")

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Ask `ready` until it says yes. Raises ChildDied."""
        give_up = time.monotonic() + seconds
        while not self.has_ended and time.monotonic() < give_up:
            if ready():
                return
            time.sleep(_LOOK_SECONDS)
        raise self.death()

    def stop(self, how: signal.Signals = signal.SIGTERM, *, seconds: float = 40.0) -> None:
        """End it in order; one that does not listen in time is killed."""
        if self.has_ended:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether this port of the loopback interface can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def answers(port: int) -> bool:
    """Whether somebody accepts connections on this port of the loopback interface."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _tied_to_us() -> list[str]:
    """What to put before a command so that Linux ends it when we are killed: else it would keep its port and files."""
    setpriv = shutil.which("setpriv")  # of util-linux; busybox has one without this option
    return [setpriv, "--pdeathsig", "TERM"] if setpriv and Path(setpriv).resolve().name == "setpriv" else []
