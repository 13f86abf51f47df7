"""pymoo problems that evonas searches. torch is imported only for the one that needs it."""

from typing import TYPE_CHECKING, Any

from problems.tabular import TabularProblem

if TYPE_CHECKING:
    from problems.supernet import SupernetProblem

__all__ = ["SupernetProblem", "TabularProblem"]


def __getattr__(name: str) -> Any:
    if name == "SupernetProblem":
        from problems.supernet import SupernetProblem

        return SupernetProblem
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
