"""What `bench_metrics_on_truth.py` does to clips of which everything is known, and what metrics see of it."""
