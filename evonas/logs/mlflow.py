"""MLflow: a run in the file store RUN/mlruns, or where the user's own MLFLOW_TRACKING_URI says.

No setting names another place, so that settings from a stranger send nothing anywhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Before MLflow is imported: it reports its use over the network else, and has its file store only where asked to.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from evonas.config import Settings
from evonas.errors import RunError
from evonas.logs.base import Log, final_figures, flat
from evonas.logs.front_picture import front_picture
from evonas.run import write_synced
from evonas.search.fitness import Measurement

EXPERIMENT = "evonas"
FILES = ("config.yaml", "result.json", "pareto.csv", "history.csv")


class MlflowLog(Log):
    """Settings as params, figures as metrics, the front and the run's own files as artifacts.

    RUN/mlflow-run names MLflow's run. MLflow keeps a metric twice that is logged twice, so each metric is asked once in
    a process which steps it has, and these are passed over.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._folder = folder
        own = (folder / "mlruns").absolute().as_uri()
        store = os.environ.get("MLFLOW_TRACKING_URI") or own
        self._client = MlflowClient(tracking_uri=store)
        self._steps: dict[str, set[int]] = {}
        self._front: tuple[Sequence[Sequence[Measurement]], Sequence[str]] | None = None
        known = self._known_run()
        self._run: str = self._new_run(settings) if known is None else known
        if store == own:
            self._require_here(own)

    def _require_here(self, store: str) -> None:
        """Raise RunError where a store in the run folder has MLflow write elsewhere: moved, or by a stranger's hand."""
        about = self._client.get_run(self._run).info
        if about.artifact_uri != f"{store}/{about.experiment_id}/{self._run}/artifacts" or ".." in about.artifact_uri:
            raise RunError(f"{store} was made in another place and keeps files at {about.artifact_uri}; move it away")

    def _known_run(self) -> str | None:
        """The run that an earlier process began; None where there is none, or not in this store."""
        try:
            run = (self._folder / "mlflow-run").read_text(encoding="utf-8").strip()
            self._client.update_run(run, status="RUNNING")
        except (FileNotFoundError, MlflowException):
            return None
        return run

    def _new_run(self, settings: Settings) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = self._client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        run: str = self._client.create_run(experiment, run_name=self._folder.absolute().name).info.run_id
        write_synced(self._folder / "mlflow-run", f"{run}\n".encode())
        params = flat(settings.model_dump(mode="json")).items()
        self._client.log_batch(run, params=[Param(name, str(value)) for name, value in params])
        return run

    def figures(self, series: str, step: int, figures: Mapping[str, float]) -> None:
        """A point of each metric, which is named series/figure."""
        now = int(time.time() * 1000)
        points = [Metric(f"{series}/{name}", value, now, step) for name, value in figures.items()]
        self._client.log_batch(self._run, metrics=[p for p in points if p.step not in self._known_steps(p.key)])

    def _known_steps(self, key: str) -> set[int]:
        if key not in self._steps:
            self._steps[key] = {point.step for point in self._client.get_metric_history(self._run, key)}
        return self._steps[key]

    def front(self, step: int, generations: Sequence[Sequence[Measurement]], objectives: Sequence[str]) -> None:
        """Kept for the end: MLflow has no pictures by step."""
        self._front = list(generations), objectives

    def end(self, result: Mapping[str, Any]) -> None:
        """Final metrics and artifacts."""
        self.figures("result", 0, final_figures(result))
        picture = None if self._front is None else front_picture(*self._front)
        if picture is not None:
            self._client.log_figure(self._run, picture, "front.png")
        for name in FILES:
            if (self._folder / name).is_file():
                self._client.log_artifact(self._run, str(self._folder / name))
        self._client.set_terminated(self._run, "FINISHED")
