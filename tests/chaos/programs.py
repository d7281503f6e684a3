"""Programs that are broken on purpose and started again, as a supervisor of a server would."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.ops.children import Child

LOOK_SECONDS = 0.05
READY_SECONDS = 240.0  # a machine that does much else starts eight programs slowly
CALM_SECONDS = 15.0  # so long after everything was ready again nobody has a reason to end
STARVED_SECONDS = 1.0  # a pause of ours this long is one of everybody's


@dataclass
class Program:
    """One program of a plant. It may be killed, stopped or told to die at a named step, and comes back by itself."""

    name: str
    kind: str  # serve, engine, worker, simulator, postgres, redis
    arguments: list[str]
    log: Path
    ready: Callable[[], bool]
    environment: dict[str, str] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    child: Child | None = None
    armed: str = ""  # the kill point of the running process
    wanted_kill_point: str = ""  # of the next one
    kill_points: list[str] = field(default_factory=list)  # of those after it, one each
    died_at: list[str] = field(default_factory=list)  # kill points that were reached
    starts: int = 0
    down_until: float = 0.0  # of the monotonic clock
    is_wanted: bool = True
    ended_by_us: bool = False
    paused: bool = False
    ready_at: float | None = None  # of the running process, by the monotonic clock

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        environment = dict(os.environ) if self.environment is None else dict(self.environment)
        environment.pop("GATEWAY_KILL_AT", None)
        if not self.wanted_kill_point and self.kill_points:
            self.wanted_kill_point = self.kill_points.pop(0)
        self.armed, self.wanted_kill_point = self.wanted_kill_point, ""
        if self.armed:
            environment["GATEWAY_KILL_AT"] = self.armed
        self.starts += 1
        self.ended_by_us = self.paused = False
        self.ready_at = None
        self.child = Child(self.name, self.arguments, log=self.log, environment=environment, **self.options)

    @property
    def is_up(self) -> bool:
        return self.child is not None and not self.child.has_ended

    def is_ready(self) -> bool:
        return self.is_up and not self.paused and self.ready()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to the running process; False when there is none."""
        if self.child is None or self.child.has_ended:
            return False
        self.child.process.send_signal(number)
        return True

    def kill(self, *, down_seconds: float = 0.0) -> bool:
        """`kill -9`; it is started again after so long."""
        self.down_until = time.monotonic() + down_seconds
        self.ended_by_us = True
        done = self.send(signal.SIGKILL)
        if done and self.child is not None:
            self.child.process.wait()
        return done

    def pause(self) -> bool:
        """SIGSTOP: it neither runs nor ends, as a machine that swaps or a frozen virtual machine."""
        self.paused = self.send(signal.SIGSTOP)
        return self.paused

    def resume(self) -> None:
        self.paused = False
        self.send(signal.SIGCONT)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it in order, for good."""
        self.is_wanted = False
        self.ended_by_us = True
        if self.child is not None:
            self.resume()
            self.child.stop(how, seconds=15)


@dataclass(frozen=True)
class Ending:
    """A program ended and nobody had asked it to."""

    at: float
    program: str
    code: int | None
    log_tail: str
    in_peace: bool  # everything else had been ready for a while


class Supervisor:
    """Starts again what has ended. Linux ends a child with the thread that made it, so this thread outlives them."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.endings: list[Ending] = []
        self.disturbed: list[
            tuple[float, float]
        ] = []  # from, to: somebody was starting, or the whole machine stood still
        self.lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self, programs: Iterable[Program]) -> None:
        self.programs = list(programs)
        self._thread.start()

    def add(self, program: Program) -> None:
        with self.lock:
            self.programs.append(program)

    def wait_until_ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Until every wanted program answers. Raises ChildDied of the first that does not."""
        give_up = time.monotonic() + seconds
        for program in list(self.programs):
            while program.is_wanted and not program.is_ready():
                if time.monotonic() > give_up:
                    if program.child is None:
                        raise TimeoutError(f"{program.name} was never started")
                    raise program.child.death()
                time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """End every program, without ceremony, then the thread."""
        with self.lock:
            for program in self.programs:
                program.is_wanted = False
                program.kill()
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        looked_at = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            for program in list(self.programs):
                with self.lock:
                    if program.is_wanted and not program.is_up and time.monotonic() >= program.down_until:
                        self._note(program)
                        program.start()
                    if program.ready_at is None and program.is_ready():
                        program.ready_at = time.monotonic()
            now = time.monotonic()
            if now - looked_at > STARVED_SECONDS or not all(self._is_ready(program) for program in self.programs):
                self._disturb(now - looked_at)
            looked_at = now

    def _is_ready(self, program: Program) -> bool:
        return program.ready_at is not None or not program.is_wanted

    def _disturb(self, since_seconds: float) -> None:
        """Note that the last moments and those that come next are no calm ones."""
        now = time.time()
        began, until = now - since_seconds - LOOK_SECONDS, now + CALM_SECONDS
        if self.disturbed and self.disturbed[-1][1] >= began:
            began = self.disturbed.pop()[0]
        self.disturbed.append((began, until))

    def _note(self, program: Program) -> None:
        """Keep an ending that neither we nor a kill point brought about."""
        child = program.child
        if child is None or program.ended_by_us:
            return
        code = child.process.returncode
        if program.armed and code == -signal.SIGKILL:
            program.died_at.append(program.armed)
            return
        tail = program.log.read_text(encoding="utf-8", errors="replace")[-1500:]
        calm_since = time.monotonic() - CALM_SECONDS
        others = [one for one in self.programs if one is not program and one.is_wanted]
        in_peace = all(one.ready_at is not None and one.ready_at < calm_since for one in others)
        self.endings.append(Ending(time.time(), program.name, code, tail, in_peace))
        program.down_until = time.monotonic() + 0.3
