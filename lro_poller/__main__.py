"""`python -m lro_poller`."""

from .cli import process

if __name__ == "__main__":
    process()
