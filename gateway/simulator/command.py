"""The simulator's options, the same for ``manage.py run_simulator`` and ``python -m gateway.simulator``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.simulator.server import run
from gateway.simulator.tables import FLAVOURS

STATE: Final = Path(__file__).resolve().parents[2] / "var" / "simulator.sqlite3"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="loopback unless you say otherwise (%(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="0 picks a free one (%(default)s)")
    parser.add_argument("--state", type=Path, default=STATE, help="its SQLite file (var/simulator.sqlite3)")
    parser.add_argument("--flavour", choices=[*FLAVOURS, "all"], default="all", help="which KRA it is (%(default)s)")
    parser.add_argument("--seed", type=int, help="makes keys, signatures and faults repeatable")
    strictness = parser.add_mutually_exclusive_group()
    strictness.add_argument("--strict", action="store_true", default=True, help="refuse what KRA might refuse")
    strictness.add_argument("--lenient", dest="strict", action="store_false", help="take what some KRA hosts take")


def run_with(chosen: Mapping[str, Any]) -> None:
    """Serve until interrupted. Raises StateInUse, and OSError when it cannot listen there."""
    run(**{name: chosen[name] for name in ("host", "port", "state", "flavour", "seed", "strict")})
