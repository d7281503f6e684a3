"""The storms of twenty seeds leave no fault out, and a seed always draws the same one."""

import random
from pathlib import Path
from typing import get_args

import pytest

from tests.chaos.faults import HOST, KRA, Fault, draw_storm, kill_points
from tests.chaos.plant import Shape
from tests.chaos.programs import Program
from tests.chaos.scenarios import SCENARIOS, SHORT

PINS = [f"P{number:09d}X" for number in range(6)]
OF_PROCESSES = {"kill -9", "kill at step", "stopped past the lease", "simulator stopped"}
PROGRAMS: dict[Shape, list[str]] = {
    "postgres": ["serve 1", "serve 2", "engine 1", "engine 2", "worker", "simulator", "postgres", "redis"],
    "embedded": ["serve 1", "simulator"],
}


def storm(shape: Shape, seed: int) -> list[Fault]:
    programs = [Program(name, name.split()[0], [], Path("log"), lambda: True) for name in PROGRAMS[shape]]
    draw = random.Random(f"chaos {seed} {shape}")
    return draw_storm(draw, shape=shape, pins=PINS, programs=programs, seconds=25.0)


@pytest.mark.parametrize("shape", get_args(Shape))
def test_twenty_seeds_have_every_fault_every_victim_and_every_step(shape: Shape) -> None:
    faults = [fault for seed in range(1, 21) for fault in storm(shape, seed)]
    wanted = {name for _, name, _ in (*KRA, *HOST)} | {"flapping"} | OF_PROCESSES
    wanted |= {"Redis emptied"} if shape == "postgres" else set()
    assert {fault.name for fault in faults} == wanted
    assert {fault.victim for fault in faults if fault.name == "kill -9"} == set(PROGRAMS[shape])
    died_at = {fault.settings["step"].partition(":")[0] for fault in faults if fault.name == "kill at step"}
    assert died_at == set(kill_points())


def test_a_seed_can_be_told_again() -> None:
    assert storm("postgres", 7) == storm("postgres", 7)
    assert storm("postgres", 7) != storm("postgres", 8)


def test_every_step_of_the_sale_path_can_be_died_at() -> None:
    assert kill_points() == ["after commit", "after send", "after turn", "before commit", "before send"]


def test_what_ci_tells_is_part_of_the_whole() -> None:
    assert set(SHORT) < set(SCENARIOS)
