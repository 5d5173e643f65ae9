"""The memory of a stage's process: glibc keeps freed memory, instead of returning it to the system.

Why: it affects speed and no result, so it is no parameter.
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> None:
    """Configure glibc to reuse freed memory.

    By default each large array is mapped and unmapped, with a page fault per 4 KB, which took a seventh of
    the time of a training on a CPU, and as much of `clean`. The process then never shrinks, so use this in
    stages and their workers only.
    """
    if os.name == "posix" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)
