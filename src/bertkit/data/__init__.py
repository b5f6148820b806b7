"""Files to examples and packed batches."""
