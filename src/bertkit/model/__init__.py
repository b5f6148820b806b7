"""The packed encoder and its heads."""
