"""What a model is and how it reads, as frozen values that can be written to a file and made again."""
