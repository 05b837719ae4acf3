"""Statistics of a comparison: intervals over groups, paired tests, calibration, shortcuts, power.

Arrays are of one entry an image: `positive` (truth, bool), `scores` or `probabilities` (of the positive
class), `groups` (what belongs together: a patient, a lesion).
"""
