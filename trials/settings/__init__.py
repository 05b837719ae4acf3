"""The settings of a run, their profiles, and how they are read."""
