"""The conformance suite for strategies: inherit it in a test file of yours, as with ``optuna.testing``.

.. code-block:: python

    from strategies.testing import StrategyTests

    class TestMyStrategy(StrategyTests):
        def make_strategy(self, **options):
            return MyStrategy(**options)

Needs pytest, which nothing else in this package does.
"""

import pytest

pytest.register_assert_rewrite("strategies.testing.conformance")  # so that failures show values

from strategies.testing.conformance import StrategyTests  # noqa: E402

__all__ = ["StrategyTests"]
