"""A trained model for those who have neither NNI nor this project: `export` makes the folder, `card` its
README, and `load_model` goes into it as it is.
"""
