"""What admins and operators do on pages, as an HTTP API behind our own guard (`docs/decisions/0025`).

A file for each subject has its operations, which call what the pages call; `table` has them all, and `document` is
made from it."""
