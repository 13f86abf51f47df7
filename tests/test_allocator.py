"""Freed memory stays with the process where that was asked for, and only there."""

import platform
import subprocess
import sys

import pytest

# Buffers of 64 MiB, freed and got again: the pages that the system had to give anew, in the second half of the rounds.
# (Up to 32 MiB glibc may adapt by itself.)
FAULTS = """
import resource
import sys

import torch

from evonas.arithmetic import set_up

words = set_up(1, "cpu", sys.argv[1])
for round in range(20):
    if round == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffers = [torch.ones(2**24) for _ in range(2)]
    del buffers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, words)
"""


def faults(allocator: str) -> tuple[int, str]:
    answer = subprocess.run([sys.executable, "-c", FAULTS, allocator], capture_output=True, text=True, check=True)
    number, words = answer.stdout.split(" ", 1)
    return int(number), words.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these thresholds")
def test_freed_memory_is_kept_where_asked_and_the_run_says_so() -> None:
    kept, words = faults("keep")
    given_back, other = faults("system")
    assert kept < given_back / 10
    assert words == "cpu, 1 thread, freed memory kept"
    assert other == "cpu, 1 thread"
