"""``python -m gateway.simulator --port N --state FILE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway.simulator.ledger import StateInUse
from gateway.simulator.server import run
from gateway.simulator.tables import FLAVOURS


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.simulator", description="A simulated KRA. It signs nothing real."
    )
    parser.add_argument("--port", type=int, default=8088, help="0 picks a free one (default: 8088)")
    parser.add_argument("--state", type=Path, required=True, help="SQLite file that holds everything KRA recorded")
    parser.add_argument("--flavour", choices=(*FLAVOURS, "all"), default="all")
    strictness = parser.add_mutually_exclusive_group()
    strictness.add_argument("--strict", dest="strict", action="store_true", default=True)
    strictness.add_argument("--lenient", dest="strict", action="store_false")
    parser.add_argument("--host", default="127.0.0.1", help="loopback unless you say otherwise")
    parser.add_argument("--seed", type=int, default=None, help="makes a run repeatable")
    chosen = parser.parse_args(arguments)
    try:
        run(
            port=chosen.port,
            state=chosen.state,
            flavour=chosen.flavour,
            strict=chosen.strict,
            host=chosen.host,
            seed=chosen.seed,
        )
    except StateInUse as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
