"""bertkit trains a BERT of your own, from raw text to a measured model, and says whether it is learning."""

__version__ = "0.1.0"
