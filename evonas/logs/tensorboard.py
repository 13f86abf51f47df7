"""RUN/tensorboard: curves, pictures of the front and the hyper-parameter tab; `tensorboard --logdir RUN` shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from evonas.config import Settings
from evonas.logs.base import Log, final_figures, flat
from evonas.logs.front_picture import front_picture
from evonas.search.fitness import Measurement


class TensorBoardLog(Log):
    """A folder of event files for each series, since steps mean something else in each.

    The first step that a process writes to a series purges all later ones there: TensorBoard then drops what a process
    before it had written beyond the checkpoint.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder / "tensorboard"
        self._writers: dict[str, SummaryWriter] = {}

    def _writer(self, series: str, step: int) -> SummaryWriter:
        if series not in self._writers:
            self._writers[series] = SummaryWriter(str(self._folder / series.replace(" ", "-")), purge_step=step)
        return self._writers[series]

    def figures(self, series: str, step: int, figures: Mapping[str, float]) -> None:
        """A point of each curve."""
        writer = self._writer(series, step)
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    def front(self, step: int, generations: Sequence[Sequence[Measurement]], objectives: Sequence[str]) -> None:
        """A picture."""
        picture = front_picture(generations, objectives)
        if picture is not None:
            self._writer("search", step).add_figure("front", picture, step)

    def end(self, result: Mapping[str, Any]) -> None:
        """The row of the hyper-parameter tab."""
        writer = self._writer("result", 0)
        hyperparameters, metrics = flat(self._settings.model_dump(mode="json")), final_figures(result)
        writer.add_hparams(hyperparameters, metrics, run_name=".", global_step=0)

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
