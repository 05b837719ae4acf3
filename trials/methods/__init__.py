"""Methods of a comparison: networks, searched and known, and cheap baselines, behind one interface.

`base` is the interface, `protocol` what all go through, `networks` and `classical` the two kinds, `registry`
their names, `makers` how each is made.
"""
