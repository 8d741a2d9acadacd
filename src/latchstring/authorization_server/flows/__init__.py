"""One file per grant type: finds what the request stands on, lets the grant's rule decide, commits once, issues."""
