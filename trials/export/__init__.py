"""Export a trained model for users who have neither NNI nor this project.

`export.py` makes the folder, `card.py` its README, and `load_model.py` is copied into it.
"""
