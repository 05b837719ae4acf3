"""What tables and folders say about images: their groups, lesions and parts of a split."""
