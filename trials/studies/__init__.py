"""A whole study by one command: the plan, the experiment under NNI, and what it leaves."""
