"""Several processes for one job: data parallel training, sharded weights (FSDP2), context parallelism, collectives."""
