"""Which module does a run. torch is imported only where networks are trained."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from evonas.config import Settings


def runner(settings: Settings) -> ModuleType:
    """The module whose `start` and `resume` do such a run."""
    return import_module("evonas.experiment" if settings.table.file is None else "evonas.table_search")
