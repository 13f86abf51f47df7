"""`evonas ablate`: the same search with one decision changed at a time, in paired seeds on shared supernets.

A grid is a folder: warmed-up supernets under supernets/, one run folder for each arm, supernet and seed under runs/,
and the table that is made of them. Whatever is finished there already is not done again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evonas.arms import ARMS, SUPERNET_ARMS, TABLE_ARMS
from evonas.config import Settings, build, read_yaml, to_yaml
from evonas.engines.crew import Call
from evonas.engines.engine import Engine, LocalEngine
from evonas.errors import ConfigError, RunError, nearest
from evonas.plan import complete
from evonas.progress import Reporter, Silent
from evonas.run import read_result, write_synced
from evonas.runners import runner


@dataclass(frozen=True)
class Job:
    """One run of the grid, and where it goes."""

    arm: str
    supernet: int
    seed: int
    settings: Settings
    out: Path
    warmed_up: Path | None = None  # the run whose supernet it starts from


def run_grid(
    settings: Settings,
    out: Path,
    *,
    arms: Sequence[str] | None,
    seeds: int,
    supernets: int,
    jobs: int,
    reporter: Reporter,
    engine: Engine | None = None,
) -> list[Job]:
    """Do every run of the grid that is not finished; returns all of them.

    jobs: runs side by side on this machine. engine: where they run; None: here.

    Seed k searches on supernet k modulo `supernets`, in all arms alike. Raises ConfigError for an unknown arm, RunError
    where `out` holds something else, or another grid.
    """
    engine = engine or LocalEngine()
    chosen = chosen_arms(settings, arms)
    settings = complete(settings)
    _claim(settings, out)
    on_table = settings.table.file is not None
    if not on_table:
        plain = [_warm_up(settings, out, number) for number in range(min(supernets, seeds))]
        _run_all(plain, jobs, reporter, "warm-ups", engine)
    first = [arm for arm in chosen if not ARMS[arm].warms_up]
    # Seed by seed, so that a grid that is stopped has whole pairs.
    made = [_job(settings, out, arm, seed, supernets) for seed in range(seeds) for arm in first]
    _run_all(made, jobs, reporter, "searches", engine)
    longer = [arm for arm in chosen if arm not in first]
    if longer:
        extra = [_longer_warm_up(settings, out, arm, n) for arm in longer for n in range(min(supernets, seeds))]
        _run_all(extra, jobs, reporter, "longer warm-ups", engine)
        more = [_job(settings, out, arm, seed, supernets) for seed in range(seeds) for arm in longer]
        _run_all(more, jobs, reporter, "searches on those", engine)
        made += more
    return made


def chosen_arms(settings: Settings, arms: Sequence[str] | None) -> list[str]:
    """The arms to run, `full` first, since all others are held against it. Raises ConfigError for an unknown one."""
    known = SUPERNET_ARMS if settings.table.file is None else TABLE_ARMS
    for arm in arms or ():
        if arm not in known and arm in (*SUPERNET_ARMS, *TABLE_ARMS):
            where = "with a supernet" if settings.table.file is not None else "on a table"
            raise ConfigError(f"arm {arm!r} is for searches {where}; choose one of {', '.join(known)}")
        if arm not in known:
            raise ConfigError(f"arm {arm!r} is unknown{nearest(arm, known)}")
    return list(dict.fromkeys(["full", *(arms or known)]))


def changed(settings: Settings, change: Mapping[str, Any]) -> Settings:
    """The settings with values put in by dotted key."""
    data = settings.model_dump(mode="json")
    for key, value in change.items():
        place = data
        *sections, last = key.split(".")
        for section in sections:
            place = place[section]
        place[last] = value
    return build(data)


def _claim(settings: Settings, out: Path) -> None:
    """Make `out`, or see that it belongs to this very grid."""
    text, path = to_yaml(settings), out / "grid.yaml"
    if path.is_file():
        if build(read_yaml(path)) != settings:
            raise RunError(f"{out} holds a grid of other settings (grid.yaml); choose another --out")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists and is no grid; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_synced(path, text.encode())


def _warm_up(settings: Settings, out: Path, number: int) -> Job:
    """A run that does little but warm a supernet up; the searches start from its state 0."""
    change = {
        "seed": settings.seed + number,
        "search.algorithm": "random",
        "search.evaluations": 2,
        "retrain.enabled": False,
    }
    return Job("warm-up", number, number, changed(settings, change), out / "supernets" / f"plain-{number}")


def _longer_warm_up(settings: Settings, out: Path, arm: str, number: int) -> Job:
    """The warm-up of an arm that puts the compute of fine-tuning into it."""
    longer = changed(settings, ARMS[arm].change(settings))
    if arm == "equal-seconds":
        result = read_result(_path(out, "full", number, number))
        assert result is not None, "the longer warm-ups come after the searches"
        warm_up, search = result["warmed_up"]["seconds"], result["seconds"]["finetune"]
        epochs = round(settings.supernet.epochs * (1 + search / warm_up))
        longer = changed(longer, {"supernet.epochs": epochs})
    job = _warm_up(longer, out, number)
    return Job(arm, number, number, job.settings, out / "supernets" / f"{arm}-{number}")


def _job(settings: Settings, out: Path, arm: str, seed: int, supernets: int) -> Job:
    number = seed % supernets
    change = {**ARMS[arm].change(settings), "seed": settings.seed + seed}
    source = None
    if settings.table.file is None:
        source = out / "supernets" / f"{arm if ARMS[arm].warms_up else 'plain'}-{number}"
        change["supernet.from"] = str(source.absolute())
        if ARMS[arm].warms_up:
            change["supernet.epochs"] = build(read_yaml(source / "config.yaml")).supernet.epochs
    made = complete(changed(settings, change))
    if not made.finetune.enabled:  # its only state is the one that was audited after the warm-up
        made = changed(made, {"audit.table": None})
    return Job(arm, number, seed, made, _path(out, arm, number, seed), source)


def _path(out: Path, arm: str, number: int, seed: int) -> Path:
    return out / "runs" / arm / f"supernet-{number}-seed-{seed}"


def _run_all(jobs: Iterable[Job], workers: int, reporter: Reporter, title: str, engine: Engine) -> None:
    waiting = [job for job in jobs if not job.out.exists() or read_result(job.out) is None]
    if not waiting:
        return
    calls = deque(Call("run", (job.settings.model_dump(mode="json"), str(job.out)), job) for job in waiting)
    first = waiting[0].settings  # the arms differ in neither device nor threads
    # One thread for each of several runs, which is what the run then records.
    variables = {"OMP_NUM_THREADS": "1"} if workers > 1 or engine.measures else {}
    crew = engine.crew(
        Runs,
        threads=first.threads or 1,
        device=_device(first),
        calls=len(waiting),
        jobs=workers,
        variables=variables,
    )
    with crew, reporter.task(title, len(waiting)) as task:
        for call, _ in crew.results(calls):
            task.advance(1, call.about.arm)


def _device(settings: Settings) -> str:
    """The device that the runs will take."""
    if settings.device != "auto":
        return settings.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Runs:
    """What a worker holds: it does whole runs."""

    def run(self, settings: Mapping[str, Any], out: str) -> None:
        """Do a run of plain settings, or go on with it."""
        built, folder = build(settings), Path(out)
        module = runner(built)
        if folder.exists():
            module.resume(folder, Silent())
        else:
            module.start(built, folder, Silent())
