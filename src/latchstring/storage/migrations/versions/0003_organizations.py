"""Organizations in charge: what members remember and admins decide, who is told, how people prove themselves.

One function for each subject; each only adds, so that a server of the version before serves beside it.
"""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pass
