"""Options that several subcommands take, as parents of their parsers."""

from argparse import ArgumentParser
from pathlib import Path

PARAMS = ArgumentParser(add_help=False)
PARAMS.add_argument(
    "--params",
    metavar="FILE",
    type=Path,
    action="append",
    default=[],
    help="YAML file merged over params.yaml; may be repeated",
)
JSON = ArgumentParser(add_help=False)
JSON.add_argument("--json", action="store_true", help="print one line of JSON")
