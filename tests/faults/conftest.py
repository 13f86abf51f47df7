"""Runs to attack."""

from faulty_runs import run, stopped, unbroken

__all__ = ["run", "stopped", "unbroken"]
