"""Freed memory that stays with the process: glibc's thresholds, raised.

By default glibc hands every large buffer back to the system as it is freed and gets it anew, zeroed page by page, at
the next step. A training step frees and gets the same buffers each time.
"""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3), as malloc.h numbers them
LARGEST = 2**31 - 1  # bytes; mallopt takes an int


def keep_freed_memory() -> bool:
    """Raise the thresholds of this process for good; returns whether there is a glibc that took it."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    values = {MMAP_THRESHOLD: 2**30, TRIM_THRESHOLD: LARGEST, TOP_PAD: 2**26}
    taken = [mallopt(option, value) for option, value in values.items()]
    return all(taken)
