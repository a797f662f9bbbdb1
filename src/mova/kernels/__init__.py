"""What computes: attention back-ends, layers for CPUs, compiled blocks, and what is kept of a text between steps."""
