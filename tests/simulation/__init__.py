"""Whole fleets of operations, simulated: the real poller over a network and a clock that are not real."""
