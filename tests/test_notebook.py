import json
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("docs/**/*.ipynb"))
#: Cuts the run down: the same text of the pipeline file, with fewer steps.
SMALL = ("total_steps = 100_000", "total_steps = 2_048")


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def notebook(request):
    """A notebook of the documentation."""
    return nbformat.read(request.param, as_version=4)


def test_outputs_are_stripped(notebook):
    """What is in the repository is a valid notebook without outputs, which would change with every run."""
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert [cell for cell in cells if cell.outputs or cell.execution_count is not None] == []


def test_links_lead_somewhere(notebook):
    """Links are relative to the folder of the notebook."""
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)\s#]+)", source)
    assert [target for target in targets if not (ROOT / "docs/tutorial" / target).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_notebook_runs(notebook, tmp_path, monkeypatch):
    """Every cell runs in a kernel, in an empty folder: it trains, draws a picture and plays episodes."""
    from nbclient import NotebookClient

    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    changed = [cell for cell in notebook.cells if SMALL[0] in cell.source]
    assert len(changed) == 1
    changed[0].source = changed[0].source.replace(*SMALL)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
    scores = json.loads(outputs[-1].data["text/plain"])
    assert len(scores) == 10
    assert min(scores) >= 8
