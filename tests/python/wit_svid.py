"""A relying party in Python that knows nothing of Troth: it verifies a WIT-SVID and the proof that came with it, by the standards alone.

usage: wit_svid.py AUDIENCE

Reads from standard input {"wit": TOKEN, "proof": TOKEN, "keys": JWK SET}. Prints one line of JSON. Ends with exit 0 when the two are what they should be, and
each change of them is noticed.
"""

import base64
import hashlib
import json
import sys
import time

import jwt

NINE = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"]


def verify_wit(token, keys):
    """WIT-SVID sections 2, 3 and 6.2: returns the claims and the key that the token is bound to."""
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "wit+jwt", header
    assert header["alg"] in NINE and set(header) == {"alg", "kid", "typ"}, header
    (key,) = [key for key in keys["keys"] if key.get("kid") == header["kid"]]
    assert key["use"] == "wit-svid", key
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=[header["alg"]], options={"require": ["sub", "exp"], "verify_aud": False})
    assert "aud" not in claims and "iss" not in claims, claims
    holder = claims["cnf"]["jwk"]
    assert holder["alg"] in NINE and "d" not in holder, holder
    return claims, jwt.PyJWK(holder), holder["alg"]


def verify_proof(proof, wit, key, algorithm, audience):
    """draft-ietf-wimse-wpt-01 section 2."""
    header = jwt.get_unverified_header(proof)
    assert header["typ"] == "wpt+jwt" and header["alg"] == algorithm, header
    claims = jwt.decode(proof, key, algorithms=[algorithm], audience=audience, options={"require": ["aud", "exp", "jti"]})
    hashed = base64.urlsafe_b64encode(hashlib.sha256(wit.encode()).digest()).rstrip(b"=").decode()
    assert claims["wth"] == hashed, "the proof is of another token"
    assert claims["exp"] - time.time() <= 300, "WIT-20: it lives too long"
    return claims


def refused(what, act):
    try:
        act()
    except (AssertionError, jwt.PyJWTError, ValueError) as error:
        return f"{what}: {error}"
    raise SystemExit(f"{what} was accepted")


def main(audience):
    given = json.load(sys.stdin)
    wit, proof, keys = given["wit"], given["proof"], given["keys"]
    claims, key, algorithm = verify_wit(wit, keys)
    proved = verify_proof(proof, wit, key, algorithm, audience)

    def tampered(token):
        head, payload, signature = token.split(".")
        return f"{head}.{payload}.{signature[:-8]}{signature[-8:][::-1]}"

    reasons = [
        refused("a tampered token", lambda: verify_wit(tampered(wit), keys)),
        refused("a tampered proof", lambda: verify_proof(tampered(proof), wit, key, algorithm, audience)),
        refused("a proof for another", lambda: verify_proof(proof, wit, key, algorithm, audience + "/other")),
        refused("a proof of another token", lambda: verify_proof(proof, wit + "x", key, algorithm, audience)),
        refused("the token in place of its proof", lambda: verify_proof(wit, wit, key, algorithm, audience)),
    ]
    print(json.dumps({"sub": claims["sub"], "life_s": claims["exp"] - claims["iat"], "jti": proved["jti"], "reasons": reasons}))


if __name__ == "__main__":
    main(*sys.argv[1:])
