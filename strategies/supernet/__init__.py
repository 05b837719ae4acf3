"""The network of all candidates, whose operations share their weights."""
