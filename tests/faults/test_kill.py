"""SIGKILL at random moments: the resumed run equals the unbroken one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests_support import compared

ROOT = Path(__file__).parent.parent.parent
KILLS = 20
SMALL = (
    "supernet.epochs=15", "search.population=8", "search.generations=5", "retrain.epochs=8", "retrain.references=1",
    "space.width=8", "finetune.epochs=1",
)  # fmt: skip


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "evonas", arguments[0], "--quiet", *arguments[1:]]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_runs_killed_again_and_again_end_as_the_unbroken_ones(tmp_path: Path) -> None:
    kills = seed = 0
    while kills < KILLS:
        killed, unbroken = tmp_path / f"killed-{seed}", tmp_path / f"unbroken-{seed}"
        kills += run_with_kills(killed, unbroken, seed, at_most=KILLS - kills)
        assert compared(killed) == compared(unbroken)
        assert not list(killed.rglob("*.tmp")), "what a kill left half-written is gone"
        seed += 1
    print(f"{kills} kills in {seed} runs")  # noqa: T201


def run_with_kills(killed: Path, unbroken: Path, seed: int, at_most: int) -> int:
    """Run one seed unbroken, and once more with kills at random moments; returns their number."""
    options = [word for assignment in SMALL for word in ("--set", assignment)]
    algorithm = ("ga", "nsga2")[seed % 2]
    start = command("run", algorithm, "--seed", str(seed), *options, "--out")
    begin = time.monotonic()
    subprocess.run([*start, str(unbroken)], check=True, env=ENVIRONMENT, capture_output=True)
    length = time.monotonic() - begin
    rng = random.Random(seed)
    for kills in range(at_most):
        process = subprocess.Popen(
            command("resume", str(killed)) if killed.exists() else [*start, str(killed)],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            # The moment is anywhere from before the first import on.
            _, errors = process.communicate(timeout=rng.uniform(0.1, 0.5) * length)
            assert process.returncode == 0, errors.decode()
            return kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    last = command("resume", str(killed)) if killed.exists() else [*start, str(killed)]
    subprocess.run(last, check=True, env=ENVIRONMENT, capture_output=True)
    return at_most
