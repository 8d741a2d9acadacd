"""Documents of other hosts, read with suspicion (docs/decisions/0010-outbound-requests.md)."""
