"""Published results: peers.csv, the target paper's own in target.csv, and the user's, all of one schema.

The comparison set, the rows with `in_comparison`, is a reconstruction of 32 methods in the style of the target paper,
whose own choice could not be read. Figures are as their sources print them: costs are not normalised for hardware, and
training recipes differ.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd

from analysis.schema import Kind, read_checked, require_unique

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}  # that peers have results on, with their names in print
CATEGORIES = ("hand-crafted", "semi-automatic", "automatic")  # as CNN-GA defines them (Sun et al., 2020, Table I)
SEARCH_METHODS = (
    "manual",
    "evolution",
    "one-shot-evolution",
    "rl",
    "gradient",
    "random",
    "smbo",
    "predictor",
    "hybrid",
    "training-free",
)
URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?#@!$&'()*+,;=%]+")  # RFC 3986, without brackets
FOLDER = Path(__file__).parent
ROWS = "one for each method and data set"


def load_peers(file: Path | None = None) -> pd.DataFrame:
    """The shipped peers, one row a method and data set, with those of the user's `file` put in.

    A row of `file` replaces the shipped one of the same key and dataset, in its place; the others are added at the end.
    `file` has the columns of peers.csv, and may have `also_printed`.
    Columns: those of peers.csv, with year an int, error_pct and error_std (percent), params_m (millions) and gpu_days
    floats (nan where the source has none), verified and in_comparison bools; also_printed (other figures that are
    printed for the same result, empty where none is known); origin (`shipped`, or the name
    of the file that the row is from).
    Raises AnalysisError with the row and column of what is no such value, or stands there twice.
    """
    peers = _read(FOLDER / "peers.csv")
    conflicts = read_checked(FOLDER / "conflicts.csv", CONFLICTS, rows=ROWS)
    require_unique(FOLDER / "conflicts.csv", conflicts, ["key", "dataset"])
    peers = peers.drop(columns="also_printed").merge(conflicts, on=["key", "dataset"], how="left")
    peers = peers.fillna({"also_printed": ""})[[*KINDS, "origin"]]
    if file is None:
        return peers
    both = pd.concat([peers, _read(file)], ignore_index=True)
    place = both.groupby(["key", "dataset"], sort=False).ngroup()
    return (
        both.assign(place=place)
        .drop_duplicates("place", keep="last")
        .sort_values("place")
        .drop(columns="place")
        .reset_index(drop=True)
    )


def load_target() -> pd.DataFrame:
    """The target paper's own results as its abstract states them, in the columns of `load_peers`."""
    return _read(FOLDER / "target.csv")


def _read(path: Path) -> pd.DataFrame:
    frame = read_checked(path, KINDS, rows=ROWS, optional=("also_printed",))
    require_unique(path, frame, ["key", "dataset"])
    if "also_printed" not in frame:
        frame["also_printed"] = ""
    return frame.assign(origin="shipped" if path.parent == FOLDER else path.name)


def _key(text: str) -> str:
    if re.fullmatch(r"[a-z0-9_]+", text) is None:
        raise ValueError(text)
    return text


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text


def _year(text: str) -> int:
    if re.fullmatch(r"(19|20)[0-9]{2}", text) is None:
        raise ValueError(text)
    return int(text)


def _error(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise ValueError(text)
    return value


def _deviation(text: str) -> float:
    return _error(text) if text else math.nan


def _positive(text: str) -> float:
    value = float(text) if text else math.nan
    if text and not 0 < value < math.inf:
        raise ValueError(text)
    return value


def _url(text: str) -> str:
    if URL.fullmatch(text) is None:
        raise ValueError(text)
    return text


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(text)
    return text == "yes"


def _one_of(*words: str) -> Kind:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read, f"one of {', '.join(words)}"


KINDS: dict[str, Kind] = {
    "key": (_key, "lower-case letters, digits and _"),
    "name": (_text, "the method's name"),
    "year": (_year, "a year such as 2023"),
    "venue": (str, "any text"),
    "category": _one_of(*CATEGORIES),
    "search_method": _one_of(*SEARCH_METHODS),
    "dataset": _one_of(*DATASETS),
    "error_pct": (_error, "the test error in percent, from 0 to 100"),
    "error_std": (_deviation, "a deviation in percent, from 0 to 100, or nothing"),
    "params_m": (_positive, "millions of parameters above 0, or nothing"),
    "gpu_days": (_positive, "GPU-days above 0, or nothing"),
    "cutout": _one_of("yes", "no", "unknown"),
    "source": (_text, "where the error was read"),
    "source_url": (_url, "an address that begins with http:// or https://"),
    "verified": (_yes, "yes or no"),
    "in_comparison": (_yes, "yes or no"),
    "note": (str, "any text"),
    "also_printed": (str, "any text"),
}
CONFLICTS: dict[str, Kind] = {name: KINDS[name] for name in ("key", "dataset")} | {
    "also_printed": (_text, "what else is printed"),
}
