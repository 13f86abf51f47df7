"""The options that commands share, and the settings that they describe. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evonas.config import (
    SPACE_SETTINGS,
    entry_points_of,
    parse_yaml,
    read_yaml,
    shipped,
    shipped_folders,
    short_name,
    with_assignments,
)
from evonas.datasets import DATASETS
from evonas.errors import ConfigError, nearest

# What the shell completes ---------------------------------------------------------------------------------------


def algorithm_names() -> list[str]:
    """Built-in ones and those of installed packages."""
    from evonas.plan import ALGORITHMS

    return [*ALGORITHMS, *entry_points_of("evonas.algorithms")]


def space_names() -> list[str]:
    """Built-in ones and those of installed packages."""
    return [*SPACE_SETTINGS, *entry_points_of("evonas.spaces")]


def shipped_names() -> list[str]:
    """Of the shipped settings files."""
    return sorted({file.stem for folder in shipped_folders() for file in folder.glob("*.yaml")})


# Options ------------------------------------------------------------------------------------------------------------

Quiet = Annotated[bool, typer.Option("--quiet", help="Few plain lines instead of bars.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
Dataset = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A data set of `evonas datasets`.", autocompletion=lambda: list(DATASETS)),
]
DataDir = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder with the images; nothing is downloaded then.")
]
SpaceName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="A space of `evonas spaces`, or FILE.py:Class of your own.", autocompletion=space_names
    ),
]
TableFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Search a table of trained networks: a CSV file, or nb-macro.",
        autocompletion=lambda: ["nb-macro"],
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Settings file, or the name of a shipped one (digits, ...).", autocompletion=shipped_names
    ),
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Seed of every random draw; default: the settings'.")]
Device = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda", help="Where to compute; default: the settings'.")]
OutRun = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="New folder of the run; default: runs/ALGORITHM-DATASET-SEED, with -2 ... where that is there.",
    ),
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(min=0, metavar="N", help="Stop at a checkpoint before N seconds are over, with exit code 75."),
]
EngineName = Annotated[
    str, typer.Option("--engine", metavar="local|ray", help="Compute on this machine, or on a Ray cluster.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of the cluster; default: RAY_ADDRESS, else one of its own on this machine."),
]
Channels = Annotated[int, typer.Option(min=1, metavar="N", help="Channels of an image.")]
ImageSize = Annotated[int, typer.Option(min=1, metavar="N", help="Pixels a side.")]
Classes = Annotated[int, typer.Option(min=2, metavar="N", help="Classes.")]
Assign = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting, as search.population=16; repeatable.")
]


# Settings -----------------------------------------------------------------------------------------------------------


def settings_data(
    config: str | None,
    dataset: str | None,
    data_dir: Path | None,
    space: str | None,
    table: str | None,
    more: list[tuple[str, Any]],
    assign: list[str] | None,
) -> dict[str, Any]:
    """The settings that the options describe, as plain data: a file, then options, then assignments."""
    from evonas.own_code import trust

    for key, value in [*more, *(_assigned(part) for part in assign or ())]:
        if key in ("search.algorithm", "problem.objectives"):  # the user has named these files himself
            for name in value if isinstance(value, list) else [value]:
                trust(str(name))
    data = read_yaml(_base_file(config, dataset, table))
    if config is None and any(part.startswith("search.generations=") for part in assign or ()):
        put(data, "search.evaluations", None)  # a number of generations that is asked for is not cut by a default
    options: list[tuple[str, Any]] = [
        ("dataset.name", dataset),
        ("dataset.dir", None if data_dir is None else str(data_dir)),
        ("table.file", table),
        *more,
    ]
    for key, value in options:
        if value is not None:
            put(data, key, value)
    return with_assignments(data, [*([f"space.name={trust(space)}"] if space is not None else []), *(assign or [])])


def _assigned(assignment: str) -> tuple[str, Any]:
    """Key and value of a --set; what is no assignment is told when it is put in."""
    key, _, value = assignment.partition("=")
    return key.strip(), parse_yaml(value, f"--set {key}")


def put(data: dict[str, Any], key: str, value: object) -> None:
    """Set `section.key`, or a key at the top, in plain data; a section that is none is left to what checks it."""
    section, _, name = key.rpartition(".")
    if not section:
        data[name] = value
    elif isinstance(data.setdefault(section, {}), dict):
        data[section] = {**data[section], name: value}


def _base_file(config: str | None, dataset: str | None, table: str | None) -> Path:
    """The settings file that a command starts from. Raises ConfigError where there is none."""
    if config is not None:
        path = Path(config)
        if path.exists() or path.suffix or len(path.parts) > 1:
            return path
        return shipped_file(config, "--config ")
    # A table has no use for the training budgets of a data set.
    found = shipped("table" if table is not None else dataset or "digits") or shipped("digits")
    assert found is not None, "the package ships digits.yaml"
    return found


def shipped_file(name: str, option: str) -> Path:
    """The shipped settings file of that name. Raises ConfigError where there is none; option: what the name came by."""
    found = shipped(name)
    if found is None:
        kind = "is no file and no shipped settings" if option else "is no shipped settings file"
        raise ConfigError(f"{option}{name!r} {kind}{nearest(name, shipped_names())}")
    return found


def default_out(algorithm: str, on: str, seed: int) -> Path:
    """runs/<algorithm>-<data set or table>-<seed>, with -2, -3 ... where that exists."""
    base = Path("runs") / f"{short_name(algorithm)}-{on}-{seed}"
    path, number = base, 2
    while path.exists():
        path, number = base.with_name(f"{base.name}-{number}"), number + 1
    return path
