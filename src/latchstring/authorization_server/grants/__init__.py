"""One file per grant type: pure decisions on a request, its client, the grant's row and the time."""
