"""Start-up: `evonas --help`, and the import of `analysis`, which must not bring torch.

python tests/benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time

from figures import PAIRS, report

ANALYSIS = "import sys, analysis, analysis.tables, analysis.plots; sys.exit('torch' in sys.modules)"


def main() -> None:
    """Seconds, and whether torch came along."""
    report("seconds of evonas --help", [timed("-m", "evonas", "--help") for _ in range(PAIRS)], 0.5)
    report("seconds of importing analysis, its tables and plots", [timed("-c", ANALYSIS) for _ in range(PAIRS)])


def timed(*arguments: str) -> float:
    """Of a new interpreter; raises CalledProcessError where it fails."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
