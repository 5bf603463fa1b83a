"""Prints the most operations per second that torch reaches here in a product of square bfloat16 matrices."""

from __future__ import annotations

import time

import torch

SIZES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192)}
_SECONDS = 1.0


def main() -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    best = 0.0
    for size in SIZES[device]:
        left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
        end = time.perf_counter() + _SECONDS
        while (begin := time.perf_counter()) < end:
            torch.mm(left, right)
            if device == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    print(best)


if __name__ == "__main__":
    main()
