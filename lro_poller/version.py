"""The version, read by the build and sent in x-goog-api-client."""

__version__ = "0.1.0"
