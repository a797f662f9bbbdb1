"""The scenes of the toy world: one file for each, with its plan, its drawing, its sound and its caption."""
