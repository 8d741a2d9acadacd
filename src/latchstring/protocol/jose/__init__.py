"""Signed JSON (RFC 7515, RFC 7517, RFC 7519) with everything fixed that an attacker would like to choose.

Needs joserfc: packages that work without it import this one where they need it, not at their top.
"""
