"""Runs a notebook from its first cell to its last, in a kernel of its own; prints what its cells showed.

Run by test_examples.py and test_notebook.py; parameters come by environment variables, as for people.
"""

import json
import sys

import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()

shown = {}
for cell in notebook.cells:
    if cell.cell_type == "code":
        texts, kinds, html = "", [], ""
        for output in cell.outputs:
            kinds += list(output.get("data", {}))
            html += output.get("data", {}).get("text/html", "") + output.get("data", {}).get("text/markdown", "")
            if output.output_type == "stream" and output.name == "stdout":
                texts += output.text
        shown[cell.id] = {"text": texts, "kinds": kinds, "html": html}
print("SEEN " + json.dumps(shown))
