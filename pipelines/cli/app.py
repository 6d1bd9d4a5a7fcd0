"""The command line: `python -m pipelines`."""

import argparse
import os
import signal
import sys
from pathlib import Path

from pipelines.cli import doctor, predict, promote, rebuild, run
from pipelines.errors import PipelineError


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand in the present folder; returns its exit code."""
    arguments = _parser().parse_args(argv)
    # Neither MLflow nor Prefect reports home, also where the network is there.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Unwinds like Ctrl-C; Prefect hands the signal on to this when the flow has seen it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return int(arguments.command(arguments))
    except (PipelineError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; no process of the run is left", file=sys.stderr)
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines",
        description="Chinese named-entity recognition, from raw text to a registered model.",
        epilog="Run it in the folder that holds dvc.yaml and params.yaml.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run.add(commands)

    log = commands.add_parser(
        "log",
        help="log a run whose stages are done and that MLflow did not take",
        description="Logs to MLflow what the stages of a run wrote, and registers the model, as"
        " `run` would have done. What is logged already is not logged again.",
    )
    log.add_argument("run", metavar="RUN", help="the folder's name in .runs, or how it begins")
    log.set_defaults(command=_log)

    bring = commands.add_parser(
        "bring",
        help="bring the dvc.lock of a run or a version into the working tree",
        description="Writes dvc.lock, so that `dvc repro` here finds all stages done. Refused where"
        " parameters, code or dvc.yaml here are not the run's.",
    )
    bring.add_argument("what", metavar="RUN|VERSION", help="a name in .runs, a version, an alias")
    bring.add_argument("--params", action="store_true", help="write the run's params.yaml as well")
    bring.set_defaults(command=_bring)

    gc = commands.add_parser(
        "gc",
        help="delete old workspaces, checkpoints, DVC cache and MLflow runs",
        description="Kept are: workspaces that run or are not logged yet, and the last complete and"
        " the last failed ones, run.keep_workspaces of each, and as many checkpoints of train;"
        " MLflow runs that a registered version stands on; what the dvc.lock of a registered"
        " version, a kept workspace, the working tree, a branch or a tag names in the cache. All"
        " else is deleted. To let go of a version's files, delete the version first.",
    )
    gc.add_argument("--dry-run", action="store_true", help="say it only")
    gc.set_defaults(command=_gc)

    predict.add(commands)
    promote.add(commands)
    rebuild.add(commands)
    doctor.add(commands)

    setup = commands.add_parser(
        "setup",
        help="make what the deployments need on the Prefect server",
        description="Makes the work pool, the one GPU slot and the automation that marks runs of"
        " dead workers as crashed, on the server that PREFECT_API_URL or the Prefect profile names."
        " Again, it changes only what differs.",
    )
    setup.add_argument(
        "--heartbeat-s",
        metavar="N",
        type=int,
        default=60,
        help="seconds between the signs of life of a run, 30 at least; after three that are missed"
        " it counts as crashed; default %(default)s",
    )
    setup.set_defaults(command=_setup)
    return parser


# What a subcommand needs is imported in it, for a quick --help.


def _log(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance import resume_logging

    logged = resume_logging.log(Path.cwd(), arguments.run)
    print(f"Run {logged.run_id} in MLflow, version {logged.version} of the model")
    return 0


def _bring(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance.bring import bring

    names = bring(Path.cwd(), arguments.what, arguments.params)
    print(f"Wrote {' and '.join(names)}; `dvc repro` finds all done (`dvc pull` first elsewhere)")
    return 0


def _gc(arguments: argparse.Namespace) -> int:
    from pipelines.maintenance.gc import prune

    pruned = prune(Path.cwd(), arguments.dry_run)
    for about, names in (
        ("workspace", pruned.workspaces),
        ("checkpoint", pruned.checkpoints),
        ("MLflow run", pruned.mlflow_runs),
    ):
        for name in names:
            print(f"{about} {name}")
    print(f"{pruned.cache_objects} objects of the DVC cache")
    print("would be deleted" if arguments.dry_run else "deleted")
    if pruned.left_alone:
        print(f"The DVC cache was left alone: {pruned.left_alone}", file=sys.stderr)
    return 0


def _setup(arguments: argparse.Namespace) -> int:
    from pipelines.flows import local_server

    local_server.require()
    from pipelines.flows.provision import setup

    for line in setup(arguments.heartbeat_s):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
