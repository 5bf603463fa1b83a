"""Kernels of our own for CPUs that multiply pairs of bfloat16 (AVX-512 BF16), made by the machine's compiler.

torch's operations are the rule, here as everywhere; a kernel is where they leave much of the machine idle. Each has a
module that says when it serves, and torch's way stays beside it for every machine that has no such CPU or no compiler.
"""
