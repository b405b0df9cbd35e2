"""Limits: what may be used at most, how far each is used now, and the one rule behind them."""
