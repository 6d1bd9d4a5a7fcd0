"""Gives memory that is freed back to the system, where large blocks come and go."""

import ctypes

import pyarrow as pa

# Of malloc.h of glibc.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGE_BYTES = 2**20


def free_now() -> None:
    """Makes glibc give back what is free between smaller blocks, which it does not by itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def free_at_once() -> None:
    """Makes glibc and Arrow give a block of a MB or more back as soon as it is freed.

    By itself glibc raises that size up to 32 MB by what is freed, and the tensors of batches of
    many shapes then leave holes in its heap: 130 MB in `evaluate`. Arrow's own pool keeps 30 MB.
    Another libc than glibc stays as it is.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:
        for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            set_option(option, LARGE_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())
