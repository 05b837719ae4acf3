"""Lesion images from files to batches: reading, checking, folds, augmentation, phantoms."""
