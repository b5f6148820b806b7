"""Why a run is (not) learning: what a person reads."""
