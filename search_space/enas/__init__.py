"""ENAS's cells: as plain data, as a network, as costs, and as a picture."""
