"""What trainers read: the official list, WebDataset shards, and encoded clips on request."""
