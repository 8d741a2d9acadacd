"""A small CRM in memory for the sample API: organizations, who belongs to them, and made-up contacts."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

CONTACTS_PER_ORGANIZATION: Final = 12
_FIRST_NAMES: Final = (
    "Ada Bruno Chidi Dalia Elif Farid Greta Hiro Ines Jonas Kavya Leon Mina Nils Olga Pavel Quinn Rosa "
    "Samir Tove Uma Viktor Wanda Yusuf"
)
_LAST_NAMES: Final = (
    "Abara Berg Castillo Dietrich Eriksen Fontaine Grau Haddad Ivanov Jansen Kimura Lindqvist Moreau Nowak "
    "Okafor Petrov Quist Rossi Sato Tanaka Ueda Vargas Weiss Yilmaz"
)
_COMPANIES: Final = ("Lighthouse Books", "Meridian Tea", "Northgate Dental", "Orchard Cycles", "Quarry Print")
_TITLES: Final = ("Buyer", "Head of sales", "Managing director", "Office manager", "Owner", "Support lead")


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A person whom an organization knows."""

    id: str
    name: str
    title: str
    company: str
    email: str


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """A customer of the CRM, and the users who belong to it."""

    id: str
    name: str
    user_ids: frozenset[str] = frozenset()


class Crm:
    """What the sample API serves. Every look-up of a contact names its organization first."""

    def __init__(self, organizations: Sequence[Organization]) -> None:
        self._organizations = {organization.id: organization for organization in organizations}
        self._contacts: dict[str, dict[str, Contact]] = {}

    def find_organizations(self, user_id: str | None, token_organization_id: str) -> list[Organization]:
        """The user's organizations; the token's own is always one of them, even when it is new to the CRM."""
        found = [
            organization
            for organization in self._organizations.values()
            if organization.id == token_organization_id or user_id in organization.user_ids
        ]
        if token_organization_id not in self._organizations:
            found.append(Organization(id=token_organization_id, name=token_organization_id))
        return found

    def list_contacts(self, organization_id: str) -> list[Contact]:
        """The organization's contacts, always the same ones."""
        if organization_id not in self._contacts:
            self._contacts[organization_id] = {contact.id: contact for contact in _invent(organization_id)}
        return list(self._contacts[organization_id].values())

    def find_contact(self, organization_id: str, contact_id: str) -> Contact | None:
        """One contact of this organization; another organization's is not found."""
        return next((found for found in self.list_contacts(organization_id) if found.id == contact_id), None)


def _invent(organization_id: str) -> list[Contact]:
    """A dozen believable people, made from the organization's id alone."""
    first_names, last_names = _FIRST_NAMES.split(), _LAST_NAMES.split()
    digest = hashlib.sha256(organization_id.encode()).digest()
    contacts = []
    for index in range(CONTACTS_PER_ORGANIZATION):
        # Steps of 5 and 7 through 24 names meet none of them twice.
        first = first_names[(digest[0] + index * 5) % len(first_names)]
        last = last_names[(digest[1] + index * 7) % len(last_names)]
        company = _COMPANIES[(digest[2] + index * 3) % len(_COMPANIES)]
        contacts.append(
            Contact(
                id="contact_" + hashlib.sha256(f"{organization_id} {index}".encode()).hexdigest()[:16],
                name=f"{first} {last}",
                title=_TITLES[digest[3 + index] % len(_TITLES)],
                company=company,
                email=f"{first}.{last}@{company.replace(' ', '-')}.example".lower(),
            )
        )
    return contacts
