"""Serving: jobs that survive, a worker that owns the device, and an API."""
