"""From raw footage to captioned clips of one length: records, stages, and executors that run them."""
