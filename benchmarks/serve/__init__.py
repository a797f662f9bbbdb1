"""What `bench_serve.py` does to a server: load, single calls that are timed, kills."""
