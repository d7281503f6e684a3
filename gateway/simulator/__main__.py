"""``manage.py run_simulator`` without Django, which it does not use and which takes seconds to load."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from gateway.simulator import command
from gateway.simulator.ledger import StateInUse


def main(arguments: Sequence[str]) -> None:
    """Serve as the command line says, until interrupted."""
    parser = ArgumentParser(prog="manage.py run_simulator", description="A simulated KRA. It signs nothing real.")
    command.add_arguments(parser)
    try:
        command.run_with(vars(parser.parse_args(arguments)))
    except (StateInUse, OSError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
