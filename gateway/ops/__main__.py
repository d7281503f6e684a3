"""`demo` and `sell` without Django, so that they start at once; `make demo` runs `python -m gateway.ops demo`."""

import argparse
import sys

from gateway.ops import demo, sell_terminal


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.ops", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo.add_arguments(commands.add_parser("demo", help="gateway and simulated KRA on this machine, one sale signed"))
    sell_terminal.add_arguments(commands.add_parser("sell", help="post a JSON Lines file of sales"))
    options = vars(parser.parse_args())
    command = options.pop("command")
    if command is None:
        parser.print_help()
        return 0
    return demo.main(**options) if command == "demo" else sell_terminal.main(**options)


if __name__ == "__main__":
    sys.exit(main())
