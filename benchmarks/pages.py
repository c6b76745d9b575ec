"""Fills result files into what shows them, pages and the list of examples: ``python benchmarks/pages.py``.

Measures nothing.
"""

from __future__ import annotations

from measure import example_facts
from measure.pages import ROOT, fill

if __name__ == "__main__":
    for path in [*fill(), *example_facts.write()]:
        print(path.relative_to(ROOT))
