"""What is seen and heard in a clip of the toy world, from pixels and samples alone, and measures of it."""
