"""The share of a whole run that is no network arithmetic: set-up, evolution, files.

    python tests/benchmarks/overhead.py [--cifar10 DIR]

Runs `configs/digits.yaml` once (minutes), or with --cifar10, a folder of its images, `configs/cifar10-small.yaml` (half
an hour). One run, no pairs: the seconds are those of result.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from figures import report

ARITHMETIC = ("warmup", "finetune", "measure", "audit", "retrain")


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.cifar10 is None:
        share("digits", chosen.seed, [])
    else:
        share("cifar10-small", chosen.seed, ["--data-dir", str(chosen.cifar10.absolute())])


def share(config: str, seed: int, options: list[str]) -> None:
    """One run of a shipped configuration, as its user starts it, imports included."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "evonas", "run", "ga", "--config", config, "--seed", str(seed), "--quiet"]
        begin = time.perf_counter()
        subprocess.run([*command, *options, "--out", str(run)], check=True, capture_output=True)
        whole = time.perf_counter() - begin
        result = json.loads((run / "result.json").read_text())
    arithmetic = sum(result["seconds"][phase] for phase in ARITHMETIC)
    torch.set_num_threads(result["threads"])  # which the line states
    parts = {phase: result["seconds"][phase] for phase in ("setup", "algorithm", "io")}
    report(
        "time outside network arithmetic / total",
        [1 - arithmetic / whole],
        0.03,
        config=config,
        seed=seed,
        total_seconds=round(whole, 1),
        seconds=parts,
    )


if __name__ == "__main__":
    main()
