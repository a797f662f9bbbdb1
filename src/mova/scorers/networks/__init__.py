"""Networks of scorers with the names of the published weights: no files, no media."""
