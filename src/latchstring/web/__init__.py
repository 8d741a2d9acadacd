"""The ASGI edge: bytes to requests, decisions to bytes. No rules here."""
