"""`brewline rules backtest`: what rules would have done with a past, without doing it (docs/backtest.md)."""
