"""The learner's memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource
from framework.runtime.learn.malloc import keep_freed_memory
{call}
libc, size = ctypes.CDLL(None), 20_000_000
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
for repeat in range(20):
    if repeat == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [libc.malloc(size) for _ in range(4)]
    for block in blocks:
        ctypes.memset(block, 1, size)
        libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_freed_memory_is_used_again():
    """Four blocks of 20 MB, filled and freed ten times: no page faults, where there are some 200,000 otherwise."""
    faults, faults_by_default = (
        int(subprocess.run([sys.executable, "-c", FAULTS.format(call=call)], capture_output=True, check=True).stdout)
        for call in ("keep_freed_memory()", "")
    )
    assert faults < 1_000 < faults_by_default
