"""What holds for all tests."""

import os

# The tests run beside each other, with networks too small to gain from threads. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
