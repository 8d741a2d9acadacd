"""Words and rules on the wire, shared by the three roles. Pure: no I/O, no clock, no entropy."""
