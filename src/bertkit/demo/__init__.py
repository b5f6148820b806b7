"""The whole life of a BERT on sentences that a grammar makes, offline."""
