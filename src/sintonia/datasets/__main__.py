"""``python -m sintonia.datasets RUN_DIR``: the dataset job of one run, in a process of its own.

Exits with 0 once ``data/result.json`` tells how it ended, well or badly.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sintonia.datasets.prepare import prepare
from sintonia.runs.layout import RunDirectory

# Serving answers people who wait; a dataset does not mind.
_NICENESS = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sintonia.datasets", description="Prepare the dataset of a run.")
    parser.add_argument("run_dir", type=Path, help="run directory with a prepare.json")
    os.nice(_NICENESS)
    result = prepare(RunDirectory(parser.parse_args().run_dir))
    if result.train is None or not result.ok:
        print(f"{result.status}: {result.message}", flush=True)
        return
    for name, prepared in (("training", result.train), ("validation", result.validation)):
        if prepared is not None:
            print(
                f"{name}: {prepared.examples} examples, {prepared.tokens} tokens of which {prepared.trained_tokens} "
                f"are to be learnt, {prepared.dropped} dropped",
                flush=True,
            )


if __name__ == "__main__":
    main()
