"""Every statement, once for every engine; each is compiled for its engine's dialect when the engine starts.

The conditions in the hot ones are the rules themselves: a write that no longer holds returns no row, and its
caller is told that it lost.
"""
