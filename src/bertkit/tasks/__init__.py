"""What a labelled data set is and how its outputs are scored."""
