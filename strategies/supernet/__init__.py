"""The supernet: one network that holds all architectures of a space, which share its weights."""
