"""Where the demo's parts are: three ports on this machine, one directory."""

from pathlib import Path
from typing import Final

import msgspec

HOST: Final = "127.0.0.1"


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Every address and path, from the base port and the directory."""

    base_port: int
    directory: Path
    server_host: str = HOST

    @property
    def ports(self) -> dict[str, int]:
        """What listens where."""
        return {
            "authorization server": self.base_port,
            "sample API": self.base_port + 1,
            "sample app": self.base_port + 2,
        }

    @property
    def issuer(self) -> str:
        """The authorization server. Browsers make passkeys under `localhost`, not under an address (ADR 0026)."""
        return f"http://{self.server_host}:{self.base_port}"

    @property
    def api(self) -> str:
        """The sample API, and the audience of its tokens."""
        return f"http://{HOST}:{self.base_port + 1}"

    @property
    def app(self) -> str:
        """The sample app."""
        return f"http://{HOST}:{self.base_port + 2}"

    @property
    def redirect_uri(self) -> str:
        """Where the sample app takes authorization answers."""
        return f"{self.app}/callback"

    @property
    def introspection_endpoint(self) -> str:
        """Where the sample API asks about tokens."""
        return f"{self.issuer}/oauth2/introspect/"

    @property
    def database_path(self) -> Path:
        """The server's database file."""
        return self.directory / "latchstring.db"

    @property
    def database(self) -> str:
        """The same as the server's `--database`."""
        return f"sqlite:///{self.database_path}"

    @property
    def keyring_path(self) -> Path:
        """The server's keys, beside its database."""
        return self.directory / "latchstring.db.keyring"

    @property
    def config_path(self) -> Path:
        """The server's settings file."""
        return self.directory / "latchstring.toml"

    @property
    def app_store_path(self) -> Path:
        """Where the sample app keeps its connections."""
        return self.directory / f"sample-app-{self.base_port}.db"
