"""Logs of a run for other tools: TensorBoard, MLflow, lines of JSON. A new one is a module here and a line in LOGS.

They are told what happened and never asked: a run has the same results and draws the same numbers without them.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from evonas.config import LogSettings, Settings
from evonas.errors import ConfigError
from evonas.logs.base import Log, Logs, Noted
from evonas.stopwatch import Stopwatch

__all__ = ["LOGS", "Log", "Logs", "Noted", "opened", "require_packages"]

# By the name of the switch: module, class, and the package that it needs.
LOGS = {
    "tensorboard": ("evonas.logs.tensorboard", "TensorBoardLog", "tensorboard"),
    "mlflow": ("evonas.logs.mlflow", "MlflowLog", "mlflow"),
    "jsonl": ("evonas.logs.json_lines", "JsonLines", None),
}


def require_packages(settings: LogSettings) -> None:
    """Raise ConfigError where a log is switched on and its package is not installed."""
    for name, (_, _, package) in LOGS.items():
        if package is not None and getattr(settings, name) and find_spec(package) is None:
            raise ConfigError(
                f"log.{name} needs {package}, which is not installed; install it by `pip install 'evonas[{name}]'`, or "
                f"leave it out by --set log.{name}=false"
            )


def opened(settings: Settings, folder: Path, stopwatch: Stopwatch) -> Logs:
    """The logs that are switched on, of the run in `folder`, which may be one that goes on; their time counts as io."""
    made = Logs(stopwatch)
    for name in LOGS:
        if getattr(settings.log, name):
            made.add(name, partial(_made, name, settings, folder))
    return made


def _made(name: str, settings: Settings, folder: Path) -> Log:
    module, kind, _ = LOGS[name]
    log: Log = getattr(import_module(module), kind)(settings, folder)
    return log
