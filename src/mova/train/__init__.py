"""From data to weights: recipes, the training loop, checkpoints, and the stages that make the tiny model."""
