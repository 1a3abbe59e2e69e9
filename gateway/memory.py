"""How much freed memory the process keeps for the next request, instead of giving it back at once.

glibc gives memory at the top of the heap back as soon as 128 KiB of it are free, and asks for it again with the next
large body: system calls and page faults for each request. https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
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
    return all(
        mallopt(name, value) for name, value in ((TRIM_THRESHOLD, KEPT), (TOP_PAD, AT_ONCE), (MMAP_THRESHOLD, KEPT))
    )
