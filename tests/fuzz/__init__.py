"""Whatever a server may answer, read as the poller reads it: only the library's own errors come out."""
