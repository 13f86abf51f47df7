"""Architecture search by evolution over a supernet that is fine-tuned along the search."""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evonas.found import describe, load

__version__ = "0.1.0"
__all__ = ["__version__", "describe", "load"]


logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # Found networks need torch, which `import evonas` does not load.
    if name in ("describe", "load"):
        return getattr(import_module("evonas.found"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
