"""One loop, its optimiser, and the wiring of a run."""
