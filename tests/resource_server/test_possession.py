"""Whether a bound token is its caller's own (S11, S12, S16), without I/O."""

import pytest

from latchstring.resource_server.possession import Shown, verify_possession
from latchstring.resource_server.refusal import Refusal

BY_KEY, BY_CERTIFICATE, BY_BOTH = {"jkt": "k"}, {"x5t#S256": "c"}, {"jkt": "k", "x5t#S256": "c"}


@pytest.mark.parametrize(
    "token_type, cnf, shown, is_required",
    [
        ("Bearer", None, Shown(), False),
        ("bearer", None, Shown(certificate="c"), False),
        ("DPoP", BY_KEY, Shown("DPoP", "k"), False),
        ("dpop", BY_KEY, Shown("DPoP", "k"), True),
        ("Bearer", BY_CERTIFICATE, Shown(certificate="c"), False),
        ("DPoP", BY_BOTH, Shown("DPoP", "k", "c"), True),
    ],
)
def test_token_bound_to_what_was_shown_is_taken(token_type, cnf, shown, is_required):
    verify_possession(token_type, cnf, shown, is_required=is_required)


@pytest.mark.parametrize(
    "token_type, cnf, shown, is_required, code, scheme",
    [
        pytest.param("DPoP", BY_KEY, Shown(), False, "invalid_token", "DPoP", id="S12-as-bearer"),
        pytest.param("Bearer", BY_KEY, Shown(), False, "invalid_token", "DPoP", id="S12-cnf-alone"),
        pytest.param("DPoP", None, Shown(), False, "invalid_token", "DPoP", id="S12-type-alone"),
        pytest.param("DPoP", BY_KEY, Shown("DPoP", "x"), False, "invalid_dpop_proof", "DPoP", id="S11-other-key"),
        pytest.param("DPoP", BY_KEY, Shown("DPoP"), False, "invalid_dpop_proof", "DPoP", id="S11-no-key"),
        pytest.param("DPoP", None, Shown("DPoP", "k"), False, "invalid_dpop_proof", "DPoP", id="S11-no-cnf"),
        pytest.param("Bearer", None, Shown("DPoP", "k"), False, "invalid_token", "Bearer", id="unbound-with-a-proof"),
        pytest.param("Bearer", None, Shown(), True, "invalid_token", "DPoP", id="F2-unbound-where-bound-is-required"),
        pytest.param("Bearer", BY_CERTIFICATE, Shown(), False, "invalid_token", "Bearer", id="S16-none"),
        pytest.param(
            "Bearer", BY_CERTIFICATE, Shown(certificate="x"), False, "invalid_token", "Bearer", id="S16-other"
        ),
        pytest.param("DPoP", BY_BOTH, Shown("DPoP", "k"), False, "invalid_token", "Bearer", id="both-key-alone"),
        pytest.param(
            "DPoP", BY_BOTH, Shown(certificate="c"), False, "invalid_token", "DPoP", id="both-certificate-alone"
        ),
        pytest.param("N_A", None, Shown(), False, "invalid_token", "Bearer", id="type-unknown"),
        pytest.param("Bearer", {}, Shown(), False, "invalid_token", "Bearer", id="cnf-empty"),
        pytest.param("Bearer", {"kid": "k"}, Shown("DPoP", "k"), False, "invalid_token", "Bearer", id="cnf-unknown"),
    ],
)
def test_s12_s16_token_bound_to_what_was_not_shown_is_refused(token_type, cnf, shown, is_required, code, scheme):
    with pytest.raises(Refusal) as refused:
        verify_possession(token_type, cnf, shown, is_required=is_required)
    assert (refused.value.status, refused.value.code, refused.value.scheme) == (401, code, scheme)
