"""Readers of the formats in which lesion images come, one each; `choose.py` picks one."""
