"""The authorization server's decisions: pure rules; I/O only through ports."""
