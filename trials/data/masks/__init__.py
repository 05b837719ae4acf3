"""Masks of lesions: which files are masks, of which image, and the crops that they mark."""
