"""The training loop: steps, optimiser, averages, checkpoints, interruption, log."""
