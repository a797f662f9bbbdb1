"""GGUF files: the header, the block formats, and components made from them."""
