"""The layouts in which lesion images come, one reader each."""
