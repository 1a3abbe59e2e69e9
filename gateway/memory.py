"""How the process deals with memory: what is freed, and what will never be.

glibc gives memory at the top of the heap back as soon as 128 KiB of it are free, and asks for it again with the next
large body: system calls and page faults for each request. Each thread gets a heap of its own from it, though only one
at a time runs Python: what one has freed is of no use to the others.
https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, ARENA_MAX = -1, -2, -3, -8
"""The names that ``malloc.h`` gives to numbers."""

KEPT = 16 << 20
AT_ONCE = 1 << 20
"""Bytes: what may stay free at the top, and what is asked for at a time."""


def keep_freed() -> bool:
    """Whether this C library could be told so; others are left as they are."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((TRIM_THRESHOLD, KEPT), (TOP_PAD, AT_ONCE), (MMAP_THRESHOLD, KEPT), (ARENA_MAX, 1))
    return all(mallopt(name, value) for name, value in wanted)


@contextmanager
def staying() -> Iterator[None]:
    """Around imports: nobody looks for cycles while modules are made, nor among them afterwards. All of them stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
