"""What comes in: bodies, fields, uploads, and what the model makes of them."""
