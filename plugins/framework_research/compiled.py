"""The decorator of every function that Numba compiles; importing it raises `PluginError` where Numba is missing."""

from __future__ import annotations

from framework.errors import PluginError

try:
    from numba import njit
except ModuleNotFoundError as missing:
    if missing.name != "numba":
        raise
    raise PluginError('research needs the package numba: pip install "framework-rl[fast]"') from missing

#: Without a C wrapper, which nobody calls and a first start waits for.
compiled = njit(cache=True, nogil=True, no_cfunc_wrapper=True)
