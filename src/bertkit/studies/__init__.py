"""Questions answered by experiment: declared recipes, run over seeds, compared with intervals."""
