"""Does training hold whatever the cells, and whatever the processor."""
