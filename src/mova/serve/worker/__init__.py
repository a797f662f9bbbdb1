"""The worker: a process that owns the device and one loaded model, and does jobs one after the other."""
