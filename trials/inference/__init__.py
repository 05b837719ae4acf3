"""What trained models say of images, and what they looked at."""
