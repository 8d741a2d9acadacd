"""Looks up TXT records by the system's resolvers: bounded in time, number and size."""

from collections.abc import Sequence
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from latchstring.authorization_server.publishers import ResolutionFailed

TIMEOUT: Final = 5.0
MAX_RECORDS: Final = 64
MAX_LENGTH: Final = 512


class TextRecords:
    """Implements the port `ResolveText`."""

    async def __call__(self, name: str) -> Sequence[str]:
        try:
            resolver = dns.asyncresolver.Resolver()
            answer = await resolver.resolve(name, "TXT", lifetime=TIMEOUT, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise ResolutionFailed(type(error).__name__) from error
        texts = [b"".join(record.strings) for record in list(answer)[:MAX_RECORDS] if isinstance(record, TXT)]
        return [text[:MAX_LENGTH].decode("latin-1") for text in texts]
