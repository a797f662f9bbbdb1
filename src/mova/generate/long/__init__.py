"""Long clips of `mova generate`: what is asked, what is checked before weights are loaded, and the file that grows."""
