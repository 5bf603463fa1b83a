"""Prints the most operations per second that torch reaches here in a product of square bfloat16 matrices."""

from __future__ import annotations

import time

import torch

SIZES = (1024, 2048, 4096)
_SECONDS = 1.0


def main() -> None:
    best = 0.0
    for size in SIZES:
        left, right = torch.randn(size, size, dtype=torch.bfloat16), torch.randn(size, size, dtype=torch.bfloat16)
        end = time.perf_counter() + _SECONDS
        while (begin := time.perf_counter()) < end:
            torch.mm(left, right)
            best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    print(best)


if __name__ == "__main__":
    main()
