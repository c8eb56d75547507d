"""Draws the pictures of docs/theory.md again: those of notebooks/article.ipynb, as SVG.

    python docs/pictures/theory.py

The same notebook and the same matplotlib give the same bytes.
"""

import json
from pathlib import Path

import matplotlib

HERE = Path(__file__).parent
NOTEBOOK = HERE.parents[1] / "notebooks" / "article.ipynb"
# The notebook's cells that draw, and what their pictures are called here.
PICTURES = {
    "sigmoid-picture": "sigmoid.svg",
    "loss-picture": "log_loss.svg",
    "steps-picture": "steps.svg",
    "valley-picture": "scaling.svg",
    "classes-picture": "softmax.svg",
}


def main() -> None:
    """Runs the notebook up to the last of them."""
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    names, left = {}, dict(PICTURES)
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code" and left:
            exec("".join(cell["source"]), names)
            if name := left.pop(cell["id"], None):
                plt.rcParams |= {"svg.hashsalt": name, "svg.fonttype": "none"}
                plt.savefig(HERE / name, metadata={"Date": None})


if __name__ == "__main__":
    main()
