"""Offload of frozen weights and of activations: backing stores, onload, prefetch, activation checkpointing."""
