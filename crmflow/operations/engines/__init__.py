"""Where work that needs no store is done: a function over many tasks, with the results in their order."""
