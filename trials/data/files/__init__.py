"""Image files: which are in a folder, and their pixels."""
