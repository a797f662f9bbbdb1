"""LoRA files of every tool: read, scaled, merged, written."""
