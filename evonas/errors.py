"""What can go wrong by the user's hand. Each message is one line: what came, what was expected, the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EvonasError(Exception):
    """A mistake of the user: the command line prints its text as one line and exits with code 2."""


class ConfigError(EvonasError):
    """Settings that cannot be used; its text holds every problem found, not just the first."""


class DataError(EvonasError):
    """A data set that is not there, or not in the layout expected."""


class TableError(EvonasError):
    """A ground-truth table that is not there, or malformed."""


class RunError(EvonasError):
    """A run folder that is not one, is in use, or cannot be read."""


class DeviceError(EvonasError):
    """A device that this machine does not have."""


class TrainingError(EvonasError):
    """Training that cannot go on with these settings."""


class AnalysisError(EvonasError):
    """Results that cannot be analysed: a file that is not there or malformed, or a comparison that does not hold."""


class Paused(Exception):  # noqa: N818 - it is none
    """A slice of a run is over, and there is more to do: the command line exits with code 75."""


class StaleFitnessError(RuntimeError):
    """Fitness of two supernet states (or two protocols) was about to be compared.

    A defect of the caller and never of the user: invariant I1 holds by construction in evonas' own algorithms.
    """


def printable(text: object) -> str:
    """Text in one line, without what steers a terminal: names and files of strangers may hold anything."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())


def nearest(word: str, known: Iterable[str]) -> str:
    """The rest of a message about an unknown word: `; did you mean 'x'? choose one of x, y, z`."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.4)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} choose one of {', '.join(names)}"
