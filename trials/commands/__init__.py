"""The verbs of the command `lesion-nas`, by what they are about."""
