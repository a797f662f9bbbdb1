"""What a run would take and learn from, looked at before it starts."""
