"""Every page there is, and who opens it how. A page that is in the route table and not here fails a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NOT_PAGES = {"/organizations/{organization_id}/connections.csv": "a file to download"}


@dataclass(frozen=True)
class Visit:
    """One page, opened by one of `Inhabited.people` (nobody: a browser that nobody is signed in with)."""

    path: str
    person: str = ""
    query: str = ""
    status: int = 200
    given: Mapping[str, str] = field(default_factory=dict)
    """For a name in the path, which of `Inhabited.ids` it stands for, where that is another."""

    def address(self, ids: Mapping[str, str]) -> str:
        """The page's address in a deployment with these ids."""
        own = {name: ids[other] for name, other in self.given.items()}
        return (self.path + self.query).format_map({**ids, **own})

    def __str__(self) -> str:
        return f"{self.person or 'nobody'} {self.path}{self.query[:24]}"


_AUTHORIZE = "?response_type=code&state=s&client_id="
_OF_APP = {"endpoint_id": "app_endpoint"}

VISITS = [
    Visit("/", "member"),
    Visit("/sign-in"),
    Visit("/reset"),
    Visit("/reset/{token}"),
    Visit("/reset/{token}", given={"token": "organization_id"}, status=410),
    # the flow
    Visit("/oauth2/authorize", query=_AUTHORIZE + "{client_id}"),
    Visit("/oauth2/authorize", "stranger", _AUTHORIZE + "{client_id}"),
    Visit("/oauth2/authorize", "admin", _AUTHORIZE + "{private_app}", status=403),
    Visit("/oauth2/authorize", "operator", _AUTHORIZE + "{client_id}", status=403),
    Visit("/oauth2/authorize", "member", _AUTHORIZE + "nowhere", status=400),
    Visit("/oauth2/authorize", "member", _AUTHORIZE + "{client_id}&redirect_uri=https://app.example/", status=400),
    Visit("/device", "member"),
    Visit("/device", "member", "?user_code=BCDF-GHJK"),
    Visit("/device/answer", "member", "?request=x", status=403),
    Visit("/access-requests/continue", "member", "?request={approved_request}"),
    Visit("/access-requests/{request_id}", "member"),
    Visit("/access-requests/{request_id}", "member", given={"request_id": "approved_request"}),
    # a member's and a developer's
    Visit("/account", "member"),
    Visit("/account/passkeys", "member"),
    Visit("/connections", "member"),
    Visit("/connections", "operator"),
    Visit("/connections/{grant_id}/receipt", "member"),
    Visit("/directory", "member"),
    Visit("/apps", "admin"),
    Visit("/apps", "operator"),
    Visit("/apps/new", "admin"),
    Visit("/apps/{client_id}", "admin"),
    Visit("/apps/{client_id}/webhooks", "admin"),
    Visit("/apps/{client_id}/webhooks/{endpoint_id}", "admin", given=_OF_APP),
    # an admin's
    Visit("/organizations/{organization_id}", "admin"),
    Visit("/organizations/{organization_id}/members", "admin"),
    Visit("/organizations/{organization_id}/connections", "admin"),
    Visit("/organizations/{organization_id}/connections", "admin", "?client_id={client_id}&unused=30"),
    Visit("/organizations/{organization_id}/connections", "admin", "?state=ended"),
    Visit("/organizations/{organization_id}/requests", "admin"),
    Visit("/organizations/{organization_id}/policy", "admin"),
    Visit("/organizations/{organization_id}/apps", "admin", "?client_id={client_id}"),
    Visit("/organizations/{organization_id}/apps/{client_id}", "admin"),
    Visit("/organizations/{organization_id}/publisher", "admin"),
    Visit("/organizations/{organization_id}/events", "admin"),
    Visit("/organizations/{organization_id}/webhooks", "admin"),
    Visit("/organizations/{organization_id}/webhooks/{endpoint_id}", "admin"),
    Visit("/organizations/{organization_id}", "member", status=404),
    # an admin's, where nothing has happened yet
    *(
        Visit(f"/organizations/{{organization_id}}/{page}", "stranger", given={"organization_id": "other_id"})
        for page in ("requests", "publisher", "webhooks")
    ),
    # an operator's
    Visit("/operator", "operator"),
    Visit("/operator", "operator", "?q={email}"),
    Visit("/operator", "operator", "?q={organization_id}"),
    Visit("/operator", "operator", "?q={client_id}"),
    Visit("/operator/reviews", "operator"),
    Visit("/operator/events", "operator"),
]
