"""OAuth 2 for software that serves organizations: authorization server, guard and client library."""

__version__ = "0.1.0"
