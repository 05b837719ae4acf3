"""Predict images with trained models, and show what the models looked at."""
