"""Speed, memory and lateness, measured beside peers in one run. `python -m benchmarks --help` says how."""
