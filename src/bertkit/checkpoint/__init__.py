"""Model folders and training state on disk."""
