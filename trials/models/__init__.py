"""Networks that can be trained, and trained ones on disk and in use."""
