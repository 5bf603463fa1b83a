"""``python -m benchmarks [PART …] [--quick]``: the parts one by one, then one table."""

from __future__ import annotations

import argparse

from benchmarks import control_plane, datasets, serving, start, training
from benchmarks.report import machine, show, table

PARTS = {
    "training": training,
    "start": start,
    "serving": serving,
    "datasets": datasets,
    "control_plane": control_plane,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure everything, print one table.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of half an hour, and rougher")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    before = machine()
    figures = []
    for name in options.parts or PARTS:
        show(f"== {name}")
        part = PARTS[name]
        figures += part.measure(part.parse(["--quick"] if options.quick else []))
    print(f"\nbefore: {before}\nafter:  {machine()}\n\n{table(figures)}")


if __name__ == "__main__":
    main()
