"""The command line: one file per verb; each parses its options, calls one function of the verb and prints the result.

Results go to stdout, logs and progress to stderr. Verbs are imported inside their commands: `mova --help` stays quick.
"""
