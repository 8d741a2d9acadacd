"""The servers that are compared, one module each, and what they have in common."""
