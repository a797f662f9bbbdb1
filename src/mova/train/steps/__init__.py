"""What one optimiser step learns: the objective, its random draws, distillation, the cross-modal dependence metric."""
