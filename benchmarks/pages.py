"""Writes what result files say into all pages that show it: ``python benchmarks/pages.py``. Nothing is measured."""

from __future__ import annotations

from measure.pages import ROOT, fill

if __name__ == "__main__":
    for path in fill():
        print(path.relative_to(ROOT))
