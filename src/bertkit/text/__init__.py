"""Text to tokens: learning a vocabulary, and the tokenizer."""
