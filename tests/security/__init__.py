"""What a hostile server, or a careless one, can learn, cause or use up: over real sockets."""
