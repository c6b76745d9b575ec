"""Fills the tables of result files into the pages that show them: ``python benchmarks/pages.py``. Measures nothing."""

from __future__ import annotations

from measure.pages import ROOT, fill

if __name__ == "__main__":
    for path in fill():
        print(path.relative_to(ROOT))
