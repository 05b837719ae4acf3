"""Methods of a comparison: networks, searched and known, and cheap baselines, behind one interface.

`base` is the interface, `registry` their names and what each needs, `networks`, `cells` and `classical` the
kinds, `build` how each is built. A method never searches: it is given the architecture that was found.
"""
