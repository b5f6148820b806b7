"""What is wrong with a model or a run: measures taken of it, and checks that turn them into findings."""
