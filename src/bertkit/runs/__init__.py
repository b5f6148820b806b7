"""What a run leaves in its folder: one writer, one reader."""
