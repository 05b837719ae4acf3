"""What a run leaves: its folder, its files, its progress."""
