"""What `bench_gpu.py` measures, and how: rows, the worker that computes them, the ledger that keeps them."""
