"""Jobs: one row of a database each, whose states change by single compare-and-set updates."""
