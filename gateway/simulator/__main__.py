"""``python -m gateway.simulator --port N --state FILE``: as ``manage.py run_simulator``, and started sooner."""

from __future__ import annotations

from argparse import ArgumentParser

from gateway.simulator import command
from gateway.simulator.ledger import StateInUse


def main() -> None:
    """Read the command line and serve."""
    parser = ArgumentParser(prog="python -m gateway.simulator", description="A simulated KRA. It signs nothing real.")
    command.add_arguments(parser)
    try:
        command.run_with(vars(parser.parse_args()))
    except (StateInUse, OSError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
