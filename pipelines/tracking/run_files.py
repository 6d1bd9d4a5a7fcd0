"""Writes into an MLflow run what the files of its workspace say, and nothing that it has already.

So the same calls follow a run while its stages work, and complete one that was interrupted.
"""

import json
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.registry import descriptions, keys
from pipelines.tracking import datasets, environment, report_values, run_page, system_metrics
from pipelines.tracking.report_values import Leaf, Point
from pipelines.workspaces import stage_log
from pipelines.workspaces.workspace import Workspace

BATCH_METRICS = 1000  # MLflow's limit for one request
TAG_CHARACTERS = 8000  # MLflow's limit
DATA_WARNINGS = "data_warnings"  # a tag of a run
LOG = "stages.log"  # a file of a run


class RunFiles:
    """A run in MLflow and the workspace whose files it has."""

    def __init__(self, client: MlflowClient, run: Run, made: Workspace) -> None:
        self.client, self.run_id, self.made = client, str(run.info.run_id), made
        self._params: dict[str, str] = run.data.params
        self._latest: dict[str, float] = dict(run.data.metrics)
        self._steps: dict[str, set[int]] = {}
        self._unanswered: list[Metric] = []
        self._read: dict[Path, int] = {}
        self._sent: set[tuple[str, int, int]] = set()
        # The seconds of a resumed run are counted from its first beginning.
        self._offset_s = max(0, (made.made_ms - run.info.start_time) // 1000)

    def begin(self) -> None:
        """What is known before the first stage: parameters and what is run."""
        path = self.made.path
        found = report_values.params(path / "params.yaml")
        params = [Param(key, value) for key, value in found.items() if key not in self._params]
        self.client.log_batch(self.run_id, params=params)
        for name in ("dvc.yaml", "params.yaml"):
            self._send(path / name, None)
        if self.made.dirty_diff:
            self.client.log_text(self.run_id, self.made.dirty_diff, "dirty.diff")

    def grow(self) -> None:
        """The rows that were added to curves since the last call."""
        self._send_unanswered()
        for path in sorted((self.made.path / dvc_stages.MEASURED).glob("*.csv")):
            size = path.stat().st_size
            if size != self._read.get(path):
                self._log_points(self._curve(path))
                self._read[path] = size

    def add(self, stages: Collection[str] | None, reports: Mapping[str, Path]) -> None:
        """The reports of stages that have ended, what they measured and what data they read.

        Args:
            stages: All that have ended; None: all that dvc.lock has.
            reports: Path below the workspace → file.

        Raises:
            PipelineError: if a report is no JSON.
        """
        self.grow()
        path = self.made.path
        of_reports = report_values.leaves(reports)
        found: dict[str, Leaf] = of_reports | report_values.measured(path / dvc_stages.MEASURED)
        # MLflow lists metrics in the order in which they came.
        figures = {key: found[key] for key in keys.METRICS if key in found} | found
        points: list[Point] = [
            (key, value, 0)
            for key, value in figures.items()
            if isinstance(value, int | float)
            and not isinstance(value, bool)
            and self._latest.get(keys.metric(key)) != value
        ]
        self._log_points([*points, *self._new(report_values.curves(reports))])
        tags = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in of_reports.items()
            if isinstance(value, str | bool)
        }
        if report_values.ALIGN in reports and (warnings := report_values.data_warnings(path)):
            tags[DATA_WARNINGS] = "\n".join(warnings)[:TAG_CHARACTERS]
        self.client.log_batch(self.run_id, tags=[RunTag(*tag) for tag in tags.items()])
        for name, file in reports.items():
            self._send(file, str(Path(name).parent))
        for file in sorted((path / dvc_stages.MEASURED).glob("[!.]*.*")):
            self._send(file, "measured")
        self.log()
        inputs = datasets.inputs(path, self.made.commit, stages)
        self.client.log_inputs(self.run_id, datasets=inputs)

    def log(self) -> None:
        """What the stages have printed so far."""
        if text := stage_log.text(self.made.path):
            self.client.log_text(self.run_id, text, LOG)

    def complete(self) -> None:
        """All that the files of a finished run say.

        Raises:
            PipelineError: if the workspace has no dvc.lock, or a report is no JSON.
        """
        reports = dvc_stages.reports(self.made.path)
        self.begin()
        self.add(None, reports)
        self._send(self.made.path / "dvc.lock", None)
        self.client.log_text(self.run_id, environment.packages(), "packages.txt")
        with descriptions.spared("plots or worst sentences of the run"):
            run_page.log_pictures(self.client, self.run_id, reports)

    def _curve(self, path: Path) -> list[Point]:
        """The new points of a curve in `.measured`, whose last row may still be being written."""
        offset = self._offset_s if path.name == system_metrics.FILE.name else 0
        points = report_values.curves({path.name: path}, growing=True)
        return self._new((name, value, step + offset) for name, value, step in points)

    def _new(self, points: Iterable[Point]) -> list[Point]:
        return [
            (key, value, step)
            for key, value, step in points
            if step not in self._steps_of(keys.metric(key))
        ]

    def _steps_of(self, metric: str) -> set[int]:
        """The steps of which the run has the metric."""
        if metric not in self._steps:
            had = metric in self._latest
            history = self.client.get_metric_history(self.run_id, metric) if had else ()
            self._steps[metric] = {point.step for point in history}
        return self._steps[metric]

    def _log_points(self, points: Iterable[Point]) -> None:
        # Of a name and step the last value alone: MLflow copies what has step 0 to the logged
        # model, whose table takes no second value of one name, time and step.
        last = {(keys.metric(key), step): value for key, value, step in points}
        now_ms = int(time.time() * 1000)
        metrics = [Metric(key, value, now_ms, step) for (key, step), value in last.items()]
        for start in range(0, len(metrics), BATCH_METRICS):
            self._unanswered = metrics[start : start + BATCH_METRICS]
            self._send_unanswered()

    def _send_unanswered(self) -> None:
        """Sends a batch of which MLflow did not say that it has it; if it has, that adds none."""
        if self._unanswered:
            self.client.log_batch(self.run_id, metrics=self._unanswered)
        for metric in self._unanswered:
            self._steps_of(metric.key).add(metric.step)
            self._latest[metric.key] = metric.value
        self._unanswered = []

    def _send(self, file: Path, folder: str | None) -> None:
        """Logs the file as an artifact, unless it is there as it is now."""
        stat = file.stat()
        version = (f"{folder}/{file.name}", stat.st_size, stat.st_mtime_ns)
        if version not in self._sent:
            self.client.log_artifact(self.run_id, str(file), folder)
            self._sent.add(version)
