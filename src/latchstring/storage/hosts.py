"""The hosts of a PostgreSQL URL: `postgresql://USER@ONE,TWO/NAME` names those that may be the primary."""

from urllib.parse import urlsplit, urlunsplit


def split_hosts(url: str) -> list[str]:
    """The URL once for each host that it names before the path, in their order; as it is where there is one or none."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=user + at + host)) for host in hosts.split(",")] if hosts else [url]
