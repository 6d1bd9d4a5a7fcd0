"""Writes a run to MLflow while its stages work, in one thread, for which no stage waits."""

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlflow import MlflowClient

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.dvc_repo.stages import Stage
from pipelines.errors import MlflowAway
from pipelines.registry import descriptions, pages, versions
from pipelines.tracking import connection, environment, outages, unfinished
from pipelines.tracking.connection import Need, Project
from pipelines.tracking.run_files import RunFiles
from pipelines.workspaces import merging
from pipelines.workspaces.workspace import Workspace

INTERVAL_S = 2.0  # between two looks at growing files


class Live:
    """The run in MLflow of a flow, from before its first stage to after the last one."""

    def __init__(self, project: Project, warn: Callable[[str], None]) -> None:
        self.project, self._warn = project, warn
        self.files: RunFiles | None = None
        """The run; None as long as MLflow did not open one."""
        self._made: Workspace | None = None
        self._jobs: deque[Callable[[], object]] = deque()
        self._ended: list[str] = []
        self._wake, self._tried, self._over = (threading.Event() for _ in range(3))
        self._thread: threading.Thread | None = None
        self._settings = ExitStack()

    def open(self, made: Workspace, inputs: str | None) -> str | None:
        """Opens the run, or one that failed with the same `inputs`; tries once, an outage goes on.

        Returns:
            The address of its page, where a server shows it.
        """
        self._made = made
        self._settings.enter_context(outages.briefly())
        self._jobs.append(lambda: self._open(made, inputs))
        # Prefect's settings, by which `warn` finds the server, belong to the context.
        work = contextvars.copy_context().run
        self._thread = threading.Thread(target=work, args=(self._work,), daemon=True, name="live")
        away = self.project.away
        self._thread.start()
        if not away:
            self._tried.wait()
        if self.files is None or not self.project.uri.startswith("http"):
            return None
        return f"{self.project.uri}/{pages.run(self.project.experiment_id, self.files.run_id)}"

    def begins(self, stage: Stage) -> None:
        """Tells that the stage begins."""
        self._do(lambda run: run.client.set_tag(run.run_id, unfinished.STAGE, stage.name))

    def ended(self, stage: Stage) -> None:
        """Tells that the stage has written its reports."""
        if not self._ended:  # later stages leave time for what the end would wait for
            self._jobs += [versions.prepare, environment.packages]
        self._ended.append(stage.name)
        names = tuple(self._ended)

        def add(run: RunFiles) -> None:
            run.add(names, dvc_stages.existing(run.made.path, stage.reports))

        self._do(add)

    def stop(self) -> None:
        """Ends the thread after a last look at the files; one more outage is not waited for."""
        self._over.set()
        self._wake.set()
        if self._thread:
            self._thread.join()
        self._settings.close()

    def conclude(self) -> None:
        """Marks the run as failed or killed; if MLflow is away, the next command does so."""
        if self.files and self._made:
            with outages.briefly(), descriptions.spared("end of the run"):
                unfinished.conclude(self.files.client, self.files.run_id, self._made.path)

    def _open(self, made: Workspace, inputs: str | None) -> None:
        if self.project.away:
            self.project = connection.check(self.project.folder, model=self.project.model)
        self.files = unfinished.opened(self.project, made, inputs)
        self._jobs.insert(1, self.files.begin)

    def _do(self, job: Callable[[RunFiles], object]) -> None:
        self._jobs.append(lambda: job(self.files) if self.files else None)
        self._wake.set()

    def _work(self) -> None:
        said = ""
        while True:
            over, wrong = self._over.is_set(), ""
            try:
                self._catch_up()
            except (MlflowAway, *connection.FAILURES) as error:
                wrong = f"MLflow does not take what the run does ({connection.said(error)}): the"
                wrong += " stages go on, and it gets all of it later"
            except Exception as error:  # in what a stage wrote, of any commit
                wrong = f"MLflow does not show what a stage wrote ({error})"
                if self._jobs:
                    self._jobs.popleft()
            self._tried.set()
            if wrong and not said:
                self._warn(wrong)
            said = wrong
            if over:
                return
            self._wake.wait(INTERVAL_S)
            self._wake.clear()

    def _catch_up(self) -> None:
        """Does what is due, in order; what MLflow does not take stays due."""
        while self._jobs:
            self._jobs[0]()
            self._jobs.popleft()
        if self.files:
            self.files.grow()


@contextmanager
def following(project: Project, warn: Callable[[str], None]) -> Iterator[Live]:
    """The run of a flow in MLflow; if the flow fails or is ended, the run says so.

    It is to be left after `.state` says how the run ended, and while its workspace is locked.
    """
    live = Live(project, warn)
    try:
        yield live
    except BaseException:
        live.stop()
        live.conclude()
        raise
    finally:
        live.stop()


def check(
    folder: Path, warn: Callable[[str], object], *needs: Need, model: str | None = None
) -> Project:
    """As `connection.check`, but only warns where MLflow does not answer: it may later."""
    try:
        return connection.check(folder, *needs, model=model)
    except MlflowAway as error:
        warn(f"{error}. The run goes on without it, and is logged at its end")
    model = model or merging.model_name(folder)
    return Project(folder, connection.uri(folder), MlflowClient(), model, "")
