"""Serving: jobs that survive, a worker that owns the device, an API, and a page."""
