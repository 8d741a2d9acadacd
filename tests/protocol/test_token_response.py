"""The token endpoint's successful answer (RFC 6749 §5.1; DESIGN §1)."""

import msgspec

from latchstring.protocol.token_response import TokenResponse, render_token_response


def test_render_token_response_has_the_seven_fields():
    response = TokenResponse(
        token_type="Bearer",
        access_token="a",
        expires_in=3600,
        scope="all.full_access offline_access",
        organization_id="o",
        user_id="u",
        refresh_token="r",
    )
    assert msgspec.json.decode(render_token_response(response)) == {
        "token_type": "Bearer",
        "access_token": "a",
        "expires_in": 3600,
        "refresh_token": "r",
        "scope": "all.full_access offline_access",
        "organization_id": "o",
        "user_id": "u",
    }


def test_render_token_response_without_refresh_token_or_user_omits_them():
    """R11: absent, not null."""
    response = TokenResponse(token_type="Bearer", access_token="a", expires_in=1, scope="s", organization_id="o")
    assert msgspec.json.decode(render_token_response(response)).keys() == {
        "token_type",
        "access_token",
        "expires_in",
        "scope",
        "organization_id",
    }


def test_token_response_repr_holds_no_token():
    """I7."""
    response = TokenResponse(
        token_type="Bearer",
        access_token="GEHEIM",
        expires_in=1,
        scope="s",
        organization_id="o",
        refresh_token="GEHEIM",
    )
    assert "GEHEIM" not in repr([response]) + str(response)
