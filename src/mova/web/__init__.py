"""What servers of this package share: listening, headers, bounded bodies, refusals, limits of rate."""
