"""People compare models blind, pair by pair, in the browser; their votes rank the models."""
