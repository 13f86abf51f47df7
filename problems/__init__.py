"""pymoo problems that evonas searches."""

from problems.supernet import SupernetProblem

__all__ = ["SupernetProblem"]
