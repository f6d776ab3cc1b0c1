"""What other programs write: a module for each format, and all that it needs to know of it."""
