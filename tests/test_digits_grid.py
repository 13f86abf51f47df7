"""The whole pipeline of the paper's two claims, on digits: every arm, supernets, audits, tables and plots. Minutes."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from evonas.arms import SUPERNET_ARMS

UNFAIR = {"stale-mu-plus-lambda", "stale-topk", "candidate", "no-remeasure"}
METRICS = ("regret", "tau", "tau_top10", "tau_final", "pool_regret", "model_regret", "tau_model")
FROZEN = {"no-finetune", "equal-passes", "equal-seconds", "random", "aging", "aging-20", "spos"}


@pytest.mark.slow
def test_every_arm_on_digits(tmp_path: Path) -> None:
    out = tmp_path / "grid"
    command = [sys.executable, "-m", "evonas", "ablate", "--config", "ablation-digits", "--seeds", "2", "--supernets"]
    command += ["2", "--jobs", "2", "--quiet", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    runs = pd.read_csv(out / "runs.csv")
    assert set(map(tuple, runs[["arm", "seed"]].to_numpy())) == {(arm, s) for arm in SUPERNET_ARMS for s in (0, 1)}
    assert set(runs.loc[runs["unfair"], "arm"]) == UNFAIR
    still = FROZEN | {"candidate"}  # which trains as a part of its measuring
    assert set(runs.loc[runs["finetune_seconds"] == 0, "arm"]) == still
    assert runs[list(METRICS)].notna().all(axis=None)
    assert (runs["regret"] >= runs["pool_regret"] - 1e-9).all()

    # A frozen supernet that is not warmed up any longer ends where it began.
    frozen = runs[runs["arm"].isin(["no-finetune", "spos", "random", "aging", "aging-20"])]
    assert frozen["tau"].equals(frozen["first_tau"])
    moved = runs[runs["arm"] == "full"]
    assert (moved["tau"] != moved["first_tau"]).all()

    for metric in METRICS:
        assert {"ablation.csv", "ablation.md"} <= {path.name for path in (out / metric).iterdir()}
    for job in ("full/supernet-0-seed-0", "uniform/supernet-1-seed-1"):
        result = json.loads((out / "runs" / job / "result.json").read_text())
        assert result["warmed_up"]["seconds"] > 0
