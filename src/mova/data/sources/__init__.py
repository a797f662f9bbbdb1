"""Where clips come from: the toy world, lists of files, shards; one interface for all of them."""
