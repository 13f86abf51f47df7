"""A grid of paired runs: every arm against the reference arm, on the same supernets and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.paired import holm, mean_interval, rank_biserial, signed_rank_p
from evonas.errors import AnalysisError, nearest

SUPERNET, SEED, SEED_OF_ONE = "supernet", "seed", "seed of one supernet"
PAIRED = (
    *("median_difference", "mean_difference", "mean_difference_low", "mean_difference_high"),
    *("p", "p_holm", "effect"),
)
DECIMALS = 10  # differences are rounded to these, so that float noise neither breaks ties nor makes zeros count


@dataclass(frozen=True, eq=False)
class Units:
    """What inference counts: supernets where there are several, else seeds.

    values: metric by unit (rows) and arm (columns, the reference first), a supernet's being the mean over its seeds.
    runs: number of runs an arm. name: SUPERNET, SEED or SEED_OF_ONE.
    """

    values: pd.DataFrame
    runs: int
    name: str

    @property
    def arms(self) -> list[str]:
        """The arms, the reference first."""
        return [str(arm) for arm in self.values.columns]

    @property
    def tested(self) -> bool:
        """Whether a p value may be taken over the units. Seeds within one supernet say nothing of another one."""
        return self.name != SEED_OF_ONE

    def differences(self, arm: str) -> np.ndarray:
        """Paired differences, arm less reference, (units,), in the metric's unit. Raises KeyError for no such arm."""
        values = self.values[arm] - self.values.iloc[:, 0]
        return values.to_numpy(float).round(DECIMALS)


def units(grid: pd.DataFrame, metric: str, reference: str) -> Units:
    """The units of a grid with columns arm, seed, the metric and, where supernets were searched, supernet.

    Raises AnalysisError for a column that is missing, a reference that is no arm or the only one, a value that is not
    finite, and runs that name no seed or supernet, stand there twice, or have no partner in the reference arm.
    """
    for name in ("arm", "seed", metric):
        if name not in grid:
            raise AnalysisError(f"the grid has no column {name!r}{nearest(name, map(str, grid.columns))}")
    arms = list(dict.fromkeys(grid["arm"].astype(str)))
    if reference not in arms:
        raise AnalysisError(f"the reference arm {reference!r} has no runs{nearest(reference, arms)}")
    if len(arms) == 1:
        raise AnalysisError(f"the grid holds the reference arm {reference!r} alone; expected another arm to compare")
    keys = ["supernet", "seed"] if "supernet" in grid else ["seed"]
    runs = grid.assign(arm=grid["arm"].astype(str))[["arm", *keys, metric]]
    _require_whole(runs, keys, metric, reference)
    values = runs.pivot(index=keys, columns="arm", values=metric)
    values = values[[reference, *(arm for arm in arms if arm != reference)]].astype(float)
    n = len(values)
    if "supernet" not in grid:
        return Units(values, n, SEED)
    if grid["supernet"].nunique() == 1:
        return Units(values, n, SEED_OF_ONE)
    return Units(values.groupby(level="supernet").mean(), n, SUPERNET)


def compare(grid: pd.DataFrame, metric: str, reference: str, *, higher_is_better: bool = False) -> pd.DataFrame:
    """One row an arm, the reference first.

    runs: n of the arm; unit and units: what was averaged to, and how many. median, mean (95 % interval mean_low to
    mean_high, Student's t), over the units. *_difference: of the paired differences, arm less reference, in the unit of
    the metric. p: Wilcoxon's signed-rank test over the units, nan for fewer than 6 units and for seeds within one
    supernet; p_holm: corrected over the arms (Holm 1979). effect: matched-pairs rank-biserial correlation (Kerby 2014),
    -1 to 1, above zero where the arm is better than the reference. difference_supernet_*: the mean paired difference of
    each supernet. Raises AnalysisError as `units` does.
    """
    paired = units(grid, metric, reference)
    rows = [_row(paired, arm, higher_is_better) for arm in paired.arms]
    table = pd.DataFrame(rows)
    tested = table["p"].notna()
    if tested.any():
        table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"].tolist())
    return table


def _require_whole(runs: pd.DataFrame, keys: list[str], metric: str, reference: str) -> None:
    """Raise AnalysisError unless every arm has the reference's runs, each once, with a finite value."""
    for key in keys:
        for row in np.flatnonzero(runs[key].isna())[:1]:
            raise AnalysisError(f"row {row + 1} of the grid, of arm {runs['arm'].iloc[row]!r}, names no {key}")
    numbers = pd.to_numeric(runs[metric], errors="coerce")
    for row in np.flatnonzero(~np.isfinite(numbers.to_numpy(float)))[:1]:
        run = runs.iloc[row]
        raise AnalysisError(f"{_name(run, keys)} has {metric} {run[metric]}; expected a finite number")
    for row in np.flatnonzero(runs.duplicated(["arm", *keys]))[:1]:
        raise AnalysisError(f"{_name(runs.iloc[row], keys)} stands in the grid twice; expected one row a run")
    whole = set(runs.loc[runs["arm"] == reference, keys].itertuples(index=False, name=None))
    for arm, of_arm in runs.groupby("arm", sort=False):
        odd = sorted(whole ^ set(of_arm[keys].itertuples(index=False, name=None)), key=str)
        if odd:
            where = ", ".join(f"{key} {value}" for key, value in zip(keys, odd[0], strict=True))
            has, lacks = (reference, arm) if odd[0] in whole else (arm, reference)
            raise AnalysisError(
                f"arm {lacks!r} has no run for {where}, and arm {has!r} has; expected every arm on the same runs"
            )


def _name(run: pd.Series[Any], keys: list[str]) -> str:
    return f"arm {run['arm']!r}, " + ", ".join(f"{key} {run[key]}" for key in keys)


def _row(paired: Units, arm: str, higher_is_better: bool) -> dict[str, object]:
    values = paired.values[arm].to_numpy(float)
    low, high = mean_interval(values)
    row: dict[str, object] = {
        "arm": arm,
        "runs": paired.runs,
        "unit": paired.name,
        "units": len(values),
        "median": float(np.median(values)),
        "mean": float(values.mean()),
        "mean_low": low,
        "mean_high": high,
    }
    if arm == paired.arms[0]:
        return row | dict.fromkeys(PAIRED, np.nan)
    differences = paired.differences(arm)
    p = signed_rank_p(differences) if paired.tested else None
    low, high = mean_interval(differences)
    row |= {
        "median_difference": float(np.median(differences)),
        "mean_difference": float(differences.mean()),
        "mean_difference_low": low,
        "mean_difference_high": high,
        "p": np.nan if p is None else p,
        "p_holm": np.nan,
        "effect": rank_biserial(differences if higher_is_better else -differences),
    }
    if paired.name == SUPERNET:
        row |= {f"difference_supernet_{unit}": d for unit, d in zip(paired.values.index, differences, strict=True)}
    return row
