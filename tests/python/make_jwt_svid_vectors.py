"""Makes tests/fixtures/jwt-svid-vectors.json: JWT-SVIDs that every validator must accept, and tokens that it must refuse, with the reason.

usage: build/venv/bin/python tests/python/make_jwt_svid_vectors.py

The keys are those of tests/fixtures/jwt-svid-keys.json, made on the first run and kept since; they sign nothing else.
Signatures are made by the `cryptography` package, which is not what Troth verifies with. RSA-PSS draws its salt at random, so those tokens differ from run to
run; everything else stays the same.
"""

import json
import pathlib

from cryptography.hazmat.primitives.asymmetric import utils
from token_vectors import b64, compact, kept_keys, new_ec, new_rsa, public, text, unb64, without

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
KEYS = FIXTURES / "jwt-svid-keys.json"
VECTORS = FIXTURES / "jwt-svid-vectors.json"

NOW = 1_900_000_000
LEEWAY = 30
AUDIENCE = "https://api.example.org"
SUBJECT = "spiffe://example.org/web"


def new_keys():
    keys = [new_ec("p256", "P-256"), new_ec("p384", "P-384"), new_ec("p521", "P-521"), new_rsa("rsa")]
    return keys + [new_rsa("rsa-for-rs256"), new_ec("wit", "P-256"), new_ec("root", "P-256"), new_ec("other", "P-256"), new_ec("stranger", "P-256")]


keys = kept_keys(KEYS, new_keys)


def token(header=None, claims=None, alg="ES256", kid="p256", key=None):
    """A token whose signature is right for `alg` and `key`, whatever its header says. Header and claims may be given as JSON text."""
    header = {"alg": alg, "kid": kid, "typ": "JWT"} if header is None else header
    claims = CLAIMS if claims is None else claims
    return compact(header, claims, alg, keys[key or kid])


CLAIMS = {"sub": SUBJECT, "aud": [AUDIENCE], "exp": NOW + 300, "iat": NOW - 5, "jti": "d2b1f0a0"}
HEADER = {"alg": "ES256", "kid": "p256", "typ": "JWT"}

accepted, refused = [], []


def accept(name, rule, made, subject=SUBJECT):
    accepted.append({"name": name, "rule": rule, "token": made, "spiffe_id": subject})


def refuse(name, rule, reason, made):
    refused.append({"name": name, "rule": rule, "reason": reason, "token": made})


# --- accepted ---------------------------------------------------------------------------------------------------
for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
    accept(alg, "JWT-03", token(alg=alg, kid="rsa"))
for alg, kid in (("ES256", "p256"), ("ES384", "p384"), ("ES512", "p521")):
    accept(alg, "JWT-03", token(alg=alg, kid=kid))
accept("RS256 with a key that is for it", "JWT-03", token(alg="RS256", kid="rsa-for-rs256"))
accept("without a type", "JWT-06", token(without(HEADER, "typ")))
accept("of type JOSE", "JWT-06", token(HEADER | {"typ": "JOSE"}))
accept("an audience that is a text", "T7", token(claims=CLAIMS | {"aud": AUDIENCE}))
accept("several audiences", "JWT-09", token(claims=CLAIMS | {"aud": ["spiffe://example.org/db", AUDIENCE]}))
accept("ended within the leeway", "JWT-10", token(claims=CLAIMS | {"exp": NOW - LEEWAY + 1}))
accept("begins within the leeway", "JWT-11", token(claims=CLAIMS | {"nbf": NOW + LEEWAY, "iat": NOW + LEEWAY}))
accept("times with fractions", "JWT-11", token(claims=CLAIMS | {"exp": NOW + 1.5, "iat": NOW - 0.5}))
accept("no moment of issue", "JWT-10", token(claims=without(CLAIMS, "iat", "jti")))
accept("an end far away", "JWT-10", token(claims=CLAIMS | {"exp": 10**12}))
accept("claims of its own", "JWT-12", token(claims=CLAIMS | {"https://example.org/role": {"names": ["a", "b"], "level": 3}, "iss": "https://id.example.org"}))
accept("header parameters that mean nothing here", "JWT-02", token(HEADER | {"jku": "https://evil.example", "jwk": public(keys["stranger"], "sig"), "b64": True}))
accept("of another trust domain with a bundle", "JWT-15", token(kid="other", claims=CLAIMS | {"sub": "spiffe://other.example/api"}), "spiffe://other.example/api")

# --- refused: the form ------------------------------------------------------------------------------------------
good = token()
head, body, sign = good.split(".")
for name, made in (
    ("nothing", ""),
    ("one part", head),
    ("two parts", f"{head}.{body}"),
    ("four parts", f"{good}.{sign}"),
    ("a JWE has five parts", f"{head}.{body}.{sign}.{sign}.{sign}"),
    ("JSON serialisation", json.dumps({"protected": head, "payload": body, "signature": sign})),
):
    refuse(name, "JWT-01", "not_compact", made)
refuse("a space before it", "JWT-01", "header_unreadable", f" {good}")
refuse("a line break after it", "JWT-01", "signature_unreadable", f"{good}\n")
refuse("padding after the header", "JWT-01", "header_unreadable", f"{head}=.{body}.{sign}")
refuse("padding after the signature", "JWT-01", "signature_unreadable", f"{good}==")
refuse("plain base64", "JWT-01", "payload_unreadable", f"{head}.{b64(text(CLAIMS | {'x': '???>>>'}).encode()).replace('_', '/')}+/.{sign}")
last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
refuse("a second text for the same signature", "JWT-01", "signature_unreadable", good[:-1] + last[last.index(good[-1]) + 1])
refuse("too long", "JWT-01", "too_long", token(claims=CLAIMS | {"padding": "x" * 50_000}))
refuse("a header that is not JSON", "JWT-01", "header_unreadable", token("{alg:ES256}"))
refuse("a header that is a list", "JWT-01", "header_unreadable", token('["ES256"]'))
refuse("a header with something after it", "JWT-01", "header_unreadable", token(text(HEADER) + "{}"))
refuse("a header that names its key twice", "RFC 7515 section 4", "header_unreadable", token('{"alg":"ES256","kid":"x","kid":"p256"}'))
refuse("a payload that is not JSON", "JWT-11", "payload_unreadable", token(claims="sub=web"))
refuse("a payload that is a list", "JWT-11", "payload_unreadable", token(claims="[]"))
refuse("a payload that names its subject twice", "RFC 7519 section 4", "payload_unreadable", token(claims=text(CLAIMS)[:-1] + ',"sub":"spiffe://example.org/admin"}'))
refuse("the second name hidden by an escape", "RFC 7519 section 4", "payload_unreadable", token(claims=text(CLAIMS)[:-1] + ',"s\\u0075b":"spiffe://example.org/admin"}'))
refuse("a member twice inside of a claim", "RFC 7519 section 4", "payload_unreadable", token(claims=text(CLAIMS)[:-1] + ',"role":{"a":1,"a":2}}'))

# --- refused: the header ----------------------------------------------------------------------------------------
for name, alg in (("none", "none"), ("None", "None"), ("HS256", "HS256"), ("HS512", "HS512"), ("EdDSA", "EdDSA"), ("ES256K", "ES256K"), ("es256", "es256"), ("a number", 256)):
    refuse(f"algorithm {name}", "JWT-04", "unsupported_algorithm", token(HEADER | {"alg": alg}))
refuse("algorithm none without a signature", "JWT-04", "unsupported_algorithm", f"{b64(text(HEADER | {'alg': 'none'}).encode())}.{body}.")
refuse("no algorithm", "JWT-04", "unsupported_algorithm", token(without(HEADER, "alg")))
refuse("the algorithm before all else", "JWT-04", "unsupported_algorithm", f"{b64(text({'alg': 'HS256', 'typ': 'wit+jwt', 'crit': ['x']}).encode())}.!.!")
for typ in ("wit+jwt", "at+jwt", "wpt+jwt", "jwt", "JWT ", ""):
    refuse(f"type {typ!r}", "JWT-06", "wrong_type", token(HEADER | {"typ": typ}))
refuse("a type that is a list", "JWT-06", "wrong_type", token(HEADER | {"typ": ["JWT"]}))
refuse("an extension that must be understood", "RFC 7515 section 4.1.11", "critical_extension", token(HEADER | {"crit": ["exp"], "exp": NOW}))
refuse("an empty list of extensions", "RFC 7515 section 4.1.11", "critical_extension", token(HEADER | {"crit": []}))
refuse("no key ID", "JWT-05", "key_id_missing", token(without(HEADER, "kid")))
refuse("an empty key ID", "JWT-05", "key_id_missing", token(HEADER | {"kid": ""}))
refuse("a key ID that is a number", "JWT-05", "key_id_missing", token(HEADER | {"kid": 1}))

# --- refused: the key -------------------------------------------------------------------------------------------
refuse("a key that nobody published", "JWT-15", "key_unknown", token(kid="stranger"))
refuse("a key ID in another case", "JWT-15", "key_unknown", token(HEADER | {"kid": "P256"}))
refuse("a key of WIT-SVIDs", "JWT-15", "key_unknown", token(kid="wit"))
refuse("a root of X509-SVIDs", "JWT-15", "key_unknown", token(kid="root"))
refuse("a key of another trust domain", "BUN-10", "key_unknown", token(kid="other"))
refuse("a key of this trust domain for another", "BUN-10", "key_unknown", token(claims=CLAIMS | {"sub": "spiffe://other.example/api"}))
refuse("a trust domain without a bundle", "WAPI-19", "no_bundle", token(claims=CLAIMS | {"sub": "spiffe://nowhere.example/api"}))
refuse("RS256 with a key on a curve", "JWT-04", "key_mismatch", token(HEADER | {"alg": "RS256"}))
refuse("ES256 with an RSA key", "JWT-04", "key_mismatch", token(HEADER | {"kid": "rsa"}))
refuse("ES384 with a key on P-256", "JWT-04", "key_mismatch", token(HEADER | {"alg": "ES384"}))
refuse("PS256 with a key that is for RS256", "RFC 7517 section 4.4", "key_mismatch", token(alg="PS256", kid="rsa-for-rs256"))

# --- refused: the signature -------------------------------------------------------------------------------------
refuse("a stranger's signature", "JWT-11", "signature_invalid", token(key="stranger"))
refuse("another payload", "JWT-11", "signature_invalid", f"{head}.{b64(text(CLAIMS | {'sub': 'spiffe://example.org/admin'}).encode())}.{sign}")
refuse("another header", "JWT-11", "signature_invalid", f"{b64(text(HEADER | {'typ': 'JOSE'}).encode())}.{body}.{sign}")
refuse("no signature", "JWT-11", "signature_invalid", f"{head}.{body}.")
refuse("half a signature", "JWT-11", "signature_invalid", f"{head}.{body}.{b64(unb64(sign)[:32])}")
refuse("a signature of zeros", "CVE-2022-21449", "signature_invalid", f"{head}.{body}.{b64(bytes(64))}")
der = utils.encode_dss_signature(int.from_bytes(unb64(sign)[:32], "big"), int.from_bytes(unb64(sign)[32:], "big"))
refuse("a signature in DER", "RFC 7518 section 3.4", "signature_invalid", f"{head}.{body}.{b64(der)}")
refuse("RS256 signed as PS256", "JWT-11", "signature_invalid", token({"alg": "RS256", "kid": "rsa"}, alg="PS256", kid="rsa"))
refuse("RS256 signed as RS512", "JWT-11", "signature_invalid", token({"alg": "RS256", "kid": "rsa"}, alg="RS512", kid="rsa"))

# --- refused: the claims ----------------------------------------------------------------------------------------
refuse("no subject", "JWT-07", "subject_missing", token(claims=without(CLAIMS, "sub")))
refuse("a subject that is a list", "JWT-07", "malformed_claim", token(claims=CLAIMS | {"sub": [SUBJECT]}))
refuse("a subject that is no SPIFFE ID", "JWT-07", "subject_invalid", token(claims=CLAIMS | {"sub": "web"}))
refuse("a subject in upper case", "JWT-07", "subject_invalid", token(claims=CLAIMS | {"sub": "spiffe://Example.org/web"}))
refuse("a subject with a slash at its end", "JWT-07", "subject_invalid", token(claims=CLAIMS | {"sub": "spiffe://example.org/web/"}))
refuse("a subject that is a trust domain", "JWT-07", "subject_without_path", token(claims=CLAIMS | {"sub": "spiffe://example.org"}))
refuse("no audience", "JWT-09", "audience_missing", token(claims=without(CLAIMS, "aud")))
refuse("an empty list of audiences", "JWT-09", "audience_missing", token(claims=CLAIMS | {"aud": []}))
refuse("another audience", "JWT-09", "audience_other", token(claims=CLAIMS | {"aud": ["https://other.example.org"]}))
refuse("an audience that begins the same", "JWT-09", "audience_other", token(claims=CLAIMS | {"aud": [AUDIENCE + "/", AUDIENCE[:-1], AUDIENCE.upper()]}))
refuse("audiences that are not all texts", "JWT-09", "malformed_claim", token(claims=CLAIMS | {"aud": [AUDIENCE, 1]}))
refuse("an audience that is a number", "JWT-09", "malformed_claim", token(claims=CLAIMS | {"aud": 1}))
refuse("no end", "JWT-10", "expiry_missing", token(claims=without(CLAIMS, "exp")))
refuse("ended", "JWT-10", "expired", token(claims=CLAIMS | {"exp": NOW - 3600}))
refuse("ended by the leeway", "JWT-10", "expired", token(claims=CLAIMS | {"exp": NOW - LEEWAY}))
refuse("an end that is a text", "JWT-10", "malformed_claim", token(claims=CLAIMS | {"exp": str(NOW + 300)}))
refuse("an end that is null", "JWT-10", "malformed_claim", token(claims=CLAIMS | {"exp": None}))
refuse("an end before time began", "JWT-10", "expired", token(claims=CLAIMS | {"exp": -(10**30)}))
refuse("begins in the future", "JWT-11", "not_yet_valid", token(claims=CLAIMS | {"nbf": NOW + LEEWAY + 1}))
refuse("issued in the future", "JWT-11", "issued_in_the_future", token(claims=CLAIMS | {"iat": NOW + LEEWAY + 1}))
refuse("issued half a second after the leeway", "JWT-11", "issued_in_the_future", token(claims=CLAIMS | {"iat": NOW + LEEWAY + 0.5}))
refuse("issued in milliseconds", "JWT-11", "issued_in_the_future", token(claims=CLAIMS | {"iat": NOW * 1000}))
refuse("a beginning that is a text", "JWT-11", "malformed_claim", token(claims=CLAIMS | {"nbf": "now"}))

bundles = {
    "spiffe://example.org": {
        "keys": [public(keys[kid], "jwt-svid") for kid in ("p256", "p384", "p521", "rsa")]
        + [public(keys["rsa-for-rs256"], "jwt-svid", alg="RS256"), public(keys["wit"], "wit-svid"), public(keys["root"], "x509-svid")]
    },
    "spiffe://other.example": {"keys": [public(keys["other"], "jwt-svid")]},
}
document = {
    "about": "JWT-SVIDs to accept and tokens to refuse, with the reason; made by tests/python/make_jwt_svid_vectors.py",
    "now": NOW,
    "leeway_s": LEEWAY,
    "audience": AUDIENCE,
    "bundles": bundles,
    "accepted": accepted,
    "refused": refused,
}
VECTORS.write_text(json.dumps(document, indent=1) + "\n")
print(f"{len(accepted)} accepted, {len(refused)} refused")
