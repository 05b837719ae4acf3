"""The stations of a study: search, training, tuning, ranking, evaluation."""
