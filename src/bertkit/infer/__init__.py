"""Using a trained model: evaluation and prediction."""
