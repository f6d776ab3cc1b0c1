"""What the outside said: bytes of logs and tables become batches of events, rows and rejects."""
