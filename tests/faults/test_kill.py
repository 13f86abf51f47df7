"""SIGKILL at random moments: the resumed run equals the unbroken one."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
KILLS = 20
SMALL = (
    "supernet.epochs=15", "search.population=8", "search.generations=5", "retrain.epochs=8", "retrain.references=1",
    "space.width=8", "finetune.epochs=1",
)  # fmt: skip


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "evonas", *arguments, "--quiet"]


def compared(run: Path) -> Any:
    tables = []
    for name in ("history.csv", "pareto.csv"):
        with (run / name).open(newline="") as file:
            tables.append([{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)])
    return tables, json.loads((run / "result.json").read_text())["best"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_again_and_again_ends_as_the_unbroken_one(tmp_path: Path, seed: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    options = [word for assignment in SMALL for word in ("--set", assignment)]
    start = command("run", "ga", "--seed", str(seed), "--out", str(tmp_path / "killed"), *options)
    begin = time.monotonic()
    unbroken = command("run", "ga", "--seed", str(seed), "--out", str(tmp_path / "unbroken"), *options)
    subprocess.run(unbroken, check=True, env=environment, capture_output=True)
    length = time.monotonic() - begin

    rng = random.Random(seed)
    kills = 0
    while True:
        going = (tmp_path / "killed").exists()
        process = subprocess.Popen(
            command("resume", str(tmp_path / "killed")) if going else start,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            # Once the kills are done, let it end. Until then the moment is anywhere from before the first import on.
            _, errors = process.communicate(timeout=rng.uniform(0.1, 0.5) * length if kills < KILLS // 4 else None)
            assert process.returncode == 0, errors.decode()
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    assert kills >= 2
    assert compared(tmp_path / "killed") == compared(tmp_path / "unbroken")
    assert not list((tmp_path / "killed").rglob("*.tmp")), "what a kill left half-written is gone"
