"""Text to pieces: learning a vocabulary, and the tokenizer."""
