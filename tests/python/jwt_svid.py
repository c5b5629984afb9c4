"""A workload and its peer in Python: a JWT-SVID is fetched, and checked in every way that a Python program has.

usage: jwt_svid.py SOCKET SPIFFE_ID AUDIENCE

Prints one line of JSON. Ends with exit 0 when each check came to the same, else with the reason.
"""

import json
import sys

import jwt
from spiffe import SpiffeId, WorkloadApiClient
from spiffe.svid.jwt_svid import JwtSvid

# The longest wait for one call, in seconds.
PATIENCE = 40


def refused(what, act):
    try:
        act()
    except Exception as error:  # Each library has its own.
        return str(error)
    raise AssertionError(f"{what} was accepted")


def main(socket, spiffe_id, audience):
    expected = SpiffeId(spiffe_id)
    with WorkloadApiClient(f"unix://{socket}") as client:
        svid = client.fetch_jwt_svid({audience}, timeout=PATIENCE)
        assert svid.spiffe_id == expected, f"{svid.spiffe_id} is not {expected}"
        assert svid.audience == {audience}, svid.audience
        named = client.fetch_jwt_svid({audience}, subject=expected, timeout=PATIENCE)
        assert named.token == svid.token, "the token for the named identity is another one"

        # By the agent.
        validated = client.validate_jwt_svid(svid.token, audience, timeout=PATIENCE)
        assert validated.spiffe_id == expected
        head, payload, signature = svid.token.split(".")
        tampered = f"{head}.{payload}.{signature[:-8]}{signature[-8:][::-1]}"
        reasons = [
            refused("a tampered token", lambda: client.validate_jwt_svid(tampered, audience, timeout=PATIENCE)),
            refused("a token for another", lambda: client.validate_jwt_svid(svid.token, "somebody-else", timeout=PATIENCE)),
        ]

        # By the SPIFFE library, with the keys from the agent.
        bundle = client.fetch_jwt_bundles(timeout=PATIENCE).get_bundle_for_trust_domain(expected.trust_domain)
        assert JwtSvid.parse_and_validate(svid.token, bundle, {audience}).spiffe_id == expected
        reasons.append(refused("a tampered token", lambda: JwtSvid.parse_and_validate(tampered, bundle, {audience})))

        # By a library that knows nothing of SPIFFE: the key set is a plain one.
        document = client._call_fetch_jwt_bundles(timeout=PATIENCE).bundles[f"spiffe://{expected.trust_domain.name}"]
        keys = jwt.PyJWKSet.from_json(document)
        header = jwt.get_unverified_header(svid.token)
        assert set(header) == {"alg", "kid", "typ"} and header["typ"] in ("JWT", "JOSE"), f"JWT-02: {header}"
        claims = jwt.decode(svid.token, keys[header["kid"]], algorithms=["ES256"], audience=audience, options={"require": ["sub", "aud", "exp", "iat"]})
        assert claims["sub"] == spiffe_id
        print(json.dumps({"sub": claims["sub"], "kid": header["kid"], "life_s": claims["exp"] - claims["iat"], "claims": claims, "reasons": reasons}))


if __name__ == "__main__":
    main(*sys.argv[1:])
