"""What is true: frozen data and pure functions. No clock, no files, no database."""
