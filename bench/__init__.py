"""The side-by-side benchmark: real processes, real sockets, durable stores; what counts is processor time."""
