"""Makes tests/fixtures/wit-svid-vectors.json: WIT-SVIDs with proofs of possession that every validator must accept, and tokens and proofs that it must
refuse, with the reason.

usage: build/venv/bin/python tests/python/make_wit_svid_vectors.py

The keys are those of tests/fixtures/wit-svid-keys.json, made on the first run and kept since; they sign nothing else.
Proofs are those of draft-ietf-wimse-wpt-01.
"""

import hashlib
import json
import pathlib

from cryptography.hazmat.primitives.asymmetric import utils
from token_vectors import b64, compact, kept_keys, new_ec, new_rsa, public, text, unb64, without

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
KEYS = FIXTURES / "wit-svid-keys.json"
VECTORS = FIXTURES / "wit-svid-vectors.json"

NOW = 1_900_000_000
LEEWAY = 30
LONGEST = 120
AUDIENCES = ["https://api.example.org/v1/orders", "spiffe://example.org/orders"]
SUBJECT = "spiffe://example.org/web"
NINE = {alg: "rsa" for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")} | {"ES256": "p256", "ES384": "p384", "ES512": "p521"}


def new_keys():
    issuers = [new_ec("p256", "P-256"), new_ec("p384", "P-384"), new_ec("p521", "P-521"), new_rsa("rsa"), new_rsa("rsa-for-rs256")]
    others = [new_ec("jwt", "P-256"), new_ec("root", "P-256"), new_ec("other", "P-256"), new_ec("stranger", "P-256")]
    holders = [new_ec("holder-p256", "P-256"), new_ec("holder-p384", "P-384"), new_ec("holder-p521", "P-521"), new_rsa("holder-rsa"), new_ec("thief", "P-256")]
    return issuers + others + holders


keys = kept_keys(KEYS, new_keys)


def bound_key(alg, kid=None):
    return without(keys[kid or "holder-" + NINE[alg]], "kid", "d", "p", "q") | {"alg": alg}


def hashed(token):
    return b64(hashlib.sha256(token.encode()).digest())


CLAIMS = {"sub": SUBJECT, "exp": NOW + 300, "iat": NOW - 5, "jti": "d2b1f0a0", "cnf": {"jwk": bound_key("ES256")}}
HEADER = {"alg": "ES256", "kid": "p256", "typ": "wit+jwt"}
PROOF_CLAIMS = {"aud": AUDIENCES[0], "exp": NOW + 60, "jti": "5f1c0a"}
PROOF_HEADER = {"alg": "ES256", "typ": "wpt+jwt"}


def wit(header=None, claims=None, alg="ES256", kid="p256", key=None):
    header = {"alg": alg, "kid": kid, "typ": "wit+jwt"} if header is None else header
    return compact(header, CLAIMS if claims is None else claims, alg, keys[key or kid])


def proof(token, header=None, claims=None, alg="ES256", key=None):
    """A proof for `token`, whose hash is in the claims unless they have one, or None, under `wth`."""
    header = {"alg": alg, "typ": "wpt+jwt"} if header is None else header
    claims = PROOF_CLAIMS if claims is None else claims
    if not isinstance(claims, str):
        claims = {"wth": hashed(token)} | claims
        claims = {name: value for name, value in claims.items() if value is not None}
    return compact(header, claims, alg, keys[key or "holder-" + NINE[alg]])


accepted, refused_tokens, refused_proofs = [], [], []
good = wit()


def accept(name, rule, made=good, shown=None, subject=SUBJECT, bound=None):
    accepted.append({"name": name, "rule": rule, "wit": made, "proof": shown or proof(made), "spiffe_id": subject} | ({"bound": bound} if bound else {}))


def refuse(name, rule, reason, made):
    refused_tokens.append({"name": name, "rule": rule, "reason": reason, "wit": made})


def refuse_proof(name, rule, reason, shown, made=good, bound=None):
    refused_proofs.append({"name": name, "rule": rule, "reason": reason, "wit": made, "proof": shown} | ({"bound": bound} if bound else {}))


# --- accepted ---------------------------------------------------------------------------------------------------
for alg, kid in NINE.items():
    accept(f"{alg} of the issuer", "WIT-04", wit(alg=alg, kid=kid))
for alg in NINE:
    made = wit(claims=CLAIMS | {"cnf": {"jwk": bound_key(alg)}})
    accept(f"{alg} of the holder", "WIT-08", made, proof(made, alg=alg))
accept("header parameters that mean nothing here", "WIT-05", wit(HEADER | {"jku": "https://evil.example", "jwk": public(keys["stranger"], "sig"), "b64": True, "x": [1]}))
accept("ended within the leeway", "WIT-10", wit(claims=CLAIMS | {"exp": NOW - LEEWAY + 1}))
accept("begins within the leeway", "WIT-11", wit(claims=CLAIMS | {"nbf": NOW + LEEWAY}))
accept("issued in the future", "WIT-12", wit(claims=CLAIMS | {"iat": NOW + 86_400}))
accept("no moment of issue and no id", "WIT-15", wit(claims=without(CLAIMS, "iat", "jti")))
accept("an end far away", "WIT-10", wit(claims=CLAIMS | {"exp": 10**12}))
accept("an issuer and claims of its own", "WIT-14", wit(claims=CLAIMS | {"iss": "wimse://example.org", "https://example.org/role": {"a": [1]}}))
accept("a key with an id and a use", "WIT-07", wit(claims=CLAIMS | {"cnf": {"kid": "k", "jwk": bound_key("ES256") | {"kid": "k", "use": "sig"}}}))
accept("of another trust domain with a bundle", "WIT-23", made := wit(kid="other", claims=CLAIMS | {"sub": "spiffe://other.example/api"}), None, "spiffe://other.example/api")
accept("for the other name of the recipient", "WIT-20", shown=proof(good, claims=PROOF_CLAIMS | {"aud": AUDIENCES[1]}))
accept("an audience with query and fragment", "wpt-01 section 2", shown=proof(good, claims=PROOF_CLAIMS | {"aud": AUDIENCES[0] + "?page=2#top"}))
accept("a list of one audience", "RFC 7519 section 4.1.3", shown=proof(good, claims=PROOF_CLAIMS | {"aud": [AUDIENCES[0]]}))
accept("a type with its tree", "RFC 7515 section 4.1.9", shown=proof(good, PROOF_HEADER | {"typ": "application/wpt+jwt"}))
accept("a proof that ended within the leeway", "WIT-20", shown=proof(good, claims=PROOF_CLAIMS | {"exp": NOW - LEEWAY + 1}))
accept("a proof of the longest life", "WIT-20", shown=proof(good, claims=PROOF_CLAIMS | {"exp": NOW + LONGEST + LEEWAY}))
accept("a proof with claims of its own", "wpt-01 section 2.3", shown=proof(good, claims=PROOF_CLAIMS | {"example.org/trace": "1", "iat": NOW}))
ACCESS, TRANSACTION, USER = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", "eyJ0eXAiOiJ0eG50b2tlbitqd3QifQ.e30.c2ln", "Basic dTpw"
accept("with an access token", "wpt-01 section 2", shown=proof(good, claims=PROOF_CLAIMS | {"ath": hashed(ACCESS)}), bound={"access_token": ACCESS})
ALL = {"access_token": ACCESS, "transaction_token": TRANSACTION, "others": {"X-User": f" {USER} "}}
FULL = PROOF_CLAIMS | {"ath": hashed(ACCESS), "tth": hashed(TRANSACTION), "oth": {"x-user": hashed(USER)}}
accept("with all kinds of tokens", "wpt-01 section 2", shown=proof(good, claims=FULL), bound=ALL)

# --- tokens refused: the form -----------------------------------------------------------------------------------
head, body, sign = good.split(".")
for name, made in (
    ("nothing", ""),
    ("two parts", f"{head}.{body}"),
    ("a JWE has five parts", f"{head}.{body}.{sign}.{sign}.{sign}"),
    ("JSON serialisation", json.dumps({"protected": head, "payload": body, "signature": sign})),
):
    refuse(name, "WIT-01", "not_compact", made)
refuse("padding after the header", "WIT-01", "header_unreadable", f"{head}=.{body}.{sign}")
refuse("a line break after it", "WIT-01", "signature_unreadable", f"{good}\n")
refuse("too long", "WIT-01", "too_long", wit(claims=CLAIMS | {"padding": "x" * 50_000}))
refuse("a header that names its key twice", "RFC 7515 section 4", "header_unreadable", wit('{"alg":"ES256","typ":"wit+jwt","kid":"x","kid":"p256"}'))
refuse("a payload that names its subject twice", "RFC 7519 section 4", "payload_unreadable", wit(claims=text(CLAIMS)[:-1] + ',"sub":"spiffe://example.org/admin"}'))
refuse("a key that is named twice", "RFC 7519 section 4", "payload_unreadable", wit(claims=text(CLAIMS)[:-2] + ',"jwk":' + text(bound_key("ES256", "thief")) + "}}"))
refuse("a payload that is a list", "WIT-01", "payload_unreadable", wit(claims="[]"))

# --- tokens refused: the header ---------------------------------------------------------------------------------
for alg in ("none", "HS256", "EdDSA", "Ed25519", "ES256K", "es256", 256):
    refuse(f"algorithm {alg}", "WIT-04", "unsupported_algorithm", wit(HEADER | {"alg": alg}))
refuse("algorithm none without a signature", "WIT-04", "unsupported_algorithm", f"{b64(text(HEADER | {'alg': 'none'}).encode())}.{body}.")
refuse("no algorithm", "WIT-04", "unsupported_algorithm", wit(without(HEADER, "alg")))
refuse("no type", "WIT-03", "wrong_type", wit(without(HEADER, "typ")))
for typ in ("JWT", "JOSE", "wpt+jwt", "WIT+JWT", "application/wit+jwt", "wit+jwt ", ""):
    refuse(f"type {typ!r}", "WIT-03", "wrong_type", wit(HEADER | {"typ": typ}))
refuse("a type that is a list", "WIT-03", "wrong_type", wit(HEADER | {"typ": ["wit+jwt"]}))
refuse("an extension that must be understood", "WIT-05", "critical_extension", wit(HEADER | {"crit": ["exp"], "exp": NOW}))
refuse("no key ID", "WIT-02", "key_id_missing", wit(without(HEADER, "kid")))
refuse("an empty key ID", "WIT-02", "key_id_missing", wit(HEADER | {"kid": ""}))
refuse("a key ID that is a number", "WIT-02", "key_id_missing", wit(HEADER | {"kid": 1}))

# --- tokens refused: the issuer's key ---------------------------------------------------------------------------
refuse("a key that nobody published", "WIT-23", "key_unknown", wit(kid="stranger"))
refuse("a key ID in another case", "WIT-02", "key_unknown", wit(HEADER | {"kid": "P256"}))
refuse("a key of JWT-SVIDs", "WIT-23", "key_unknown", wit(kid="jwt"))
refuse("a root of X509-SVIDs", "WIT-23", "key_unknown", wit(kid="root"))
refuse("a key of another trust domain", "BUN-10", "key_unknown", wit(kid="other"))
refuse("a key of this trust domain for another", "BUN-10", "key_unknown", wit(claims=CLAIMS | {"sub": "spiffe://other.example/api"}))
refuse("a trust domain that supports no WIT-SVIDs", "WIT-23", "key_unknown", wit(kid="jwt", claims=CLAIMS | {"sub": "spiffe://jwt-only.example/api"}))
refuse("a trust domain without a bundle", "WAPI-19", "no_bundle", wit(claims=CLAIMS | {"sub": "spiffe://nowhere.example/api"}))
refuse("signed by its own key", "WIT-23", "key_unknown", wit(HEADER | {"kid": "holder-p256", "jwk": bound_key("ES256")}, key="holder-p256"))
refuse("RS256 with a key on a curve", "WIT-04", "key_mismatch", wit(HEADER | {"alg": "RS256"}))
refuse("PS256 with a key that is for RS256", "RFC 7517 section 4.4", "key_mismatch", wit(alg="PS256", kid="rsa-for-rs256"))
refuse("a stranger's signature", "WIT-01", "signature_invalid", wit(key="stranger"))
refuse("another payload", "WIT-01", "signature_invalid", f"{head}.{b64(text(CLAIMS | {'sub': 'spiffe://example.org/admin'}).encode())}.{sign}")
refuse("another key", "WIT-07", "signature_invalid", f"{head}.{b64(text(CLAIMS | {'cnf': {'jwk': bound_key('ES256', 'thief')}}).encode())}.{sign}")
refuse("no signature", "WIT-01", "signature_invalid", f"{head}.{body}.")
refuse("a signature of zeros", "CVE-2022-21449", "signature_invalid", f"{head}.{body}.{b64(bytes(64))}")
der = utils.encode_dss_signature(int.from_bytes(unb64(sign)[:32], "big"), int.from_bytes(unb64(sign)[32:], "big"))
refuse("a signature in DER", "RFC 7518 section 3.4", "signature_invalid", f"{head}.{body}.{b64(der)}")

# --- tokens refused: the claims ---------------------------------------------------------------------------------
refuse("no subject", "WIT-06", "subject_missing", wit(claims=without(CLAIMS, "sub")))
refuse("a subject that is no SPIFFE ID", "WIT-06", "subject_invalid", wit(claims=CLAIMS | {"sub": "wimse://example.org/web"}))
refuse("a subject that is a trust domain", "WIT-06", "subject_without_path", wit(claims=CLAIMS | {"sub": "spiffe://example.org"}))
refuse("a subject that is a list", "WIT-06", "malformed_claim", wit(claims=CLAIMS | {"sub": [SUBJECT]}))
refuse("no end", "WIT-10", "expiry_missing", wit(claims=without(CLAIMS, "exp")))
refuse("ended by the leeway", "WIT-10", "expired", wit(claims=CLAIMS | {"exp": NOW - LEEWAY}))
refuse("an end that is a text", "WIT-10", "malformed_claim", wit(claims=CLAIMS | {"exp": str(NOW + 300)}))
refuse("begins in the future", "WIT-11", "not_yet_valid", wit(claims=CLAIMS | {"nbf": NOW + LEEWAY + 1}))
refuse("a beginning that is a text", "WIT-11", "malformed_claim", wit(claims=CLAIMS | {"nbf": "now"}))
refuse("an audience", "WIT-14", "audience_present", wit(claims=CLAIMS | {"aud": AUDIENCES[0]}))
refuse("an audience that is null", "WIT-14", "audience_present", wit(claims=CLAIMS | {"aud": None}))

# --- tokens refused: the key they are bound to ------------------------------------------------------------------
refuse("bound to nothing", "WIT-07", "confirmation_missing", wit(claims=without(CLAIMS, "cnf")))
refuse("bound to a key that is only named", "WIT-07", "confirmation_missing", wit(claims=CLAIMS | {"cnf": {"kid": "k1"}}))
refuse("bound to a certificate", "WIT-07", "confirmation_missing", wit(claims=CLAIMS | {"cnf": {"x5t#S256": "AA"}}))
refuse("a confirmation that is a text", "WIT-07", "malformed_claim", wit(claims=CLAIMS | {"cnf": "k1"}))
refuse("a key that is a text", "WIT-07", "malformed_claim", wit(claims=CLAIMS | {"cnf": {"jwk": "k1"}}))
refuse("a key beside one that is fetched", "RFC 7800 section 3.1", "confirmation_ambiguous", wit(claims=CLAIMS | {"cnf": CLAIMS["cnf"] | {"jku": "https://evil.example"}}))
refuse("a key beside one that is encrypted", "RFC 7800 section 3.1", "confirmation_ambiguous", wit(claims=CLAIMS | {"cnf": CLAIMS["cnf"] | {"jwe": "x"}}))
refuse("a private key", "WIT-07", "confirmation_secret", wit(claims=CLAIMS | {"cnf": {"jwk": bound_key("ES256") | {"d": keys["holder-p256"]["d"]}}}))
refuse("a secret key", "WIT-07", "confirmation_secret", wit(claims=CLAIMS | {"cnf": {"jwk": {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}}}))
refuse("a key without an algorithm", "WIT-08", "confirmation_algorithm", wit(claims=CLAIMS | {"cnf": {"jwk": without(bound_key("ES256"), "alg")}}))
for alg in ("none", "EdDSA", "HS256", "ECDH-ES", "es256", 256):
    refuse(f"a key for {alg}", "WIT-08", "confirmation_algorithm", wit(claims=CLAIMS | {"cnf": {"jwk": bound_key("ES256") | {"alg": alg}}}))
refuse("a key on P-256 for ES384", "WIT-08", "confirmation_mismatch", wit(claims=CLAIMS | {"cnf": {"jwk": bound_key("ES256") | {"alg": "ES384"}}}))
refuse("a key on a curve for RS256", "WIT-08", "confirmation_mismatch", wit(claims=CLAIMS | {"cnf": {"jwk": bound_key("ES256") | {"alg": "RS256"}}}))
refuse("a key with half a point", "WIT-07", "confirmation_mismatch", wit(claims=CLAIMS | {"cnf": {"jwk": without(bound_key("ES256"), "y")}}))
refuse("a key on Edwards' curve", "WIT-08", "confirmation_mismatch", wit(claims=CLAIMS | {"cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32)), "alg": "ES256"}}}))

# --- proofs refused ---------------------------------------------------------------------------------------------
shown = proof(good)
p_head, p_body, p_sign = shown.split(".")
refuse_proof("none", "WIT-17", "not_compact", "")
refuse_proof("the token itself", "WIT-17", "wrong_type", good)
refuse_proof("a JWT-SVID's type", "WIT-18", "wrong_type", proof(good, PROOF_HEADER | {"typ": "JWT"}))
refuse_proof("a WIT's type", "WIT-18", "wrong_type", proof(good, PROOF_HEADER | {"typ": "wit+jwt"}))
refuse_proof("no type", "wpt-01 section 2", "wrong_type", proof(good, without(PROOF_HEADER, "typ")))
refuse_proof("too long", "WIT-18", "too_long", proof(good, claims=PROOF_CLAIMS | {"padding": "x" * 16_000}))
refuse_proof("a header that is not JSON", "WIT-18", "header_unreadable", proof(good, "{"))
refuse_proof("a payload that names its audience twice", "RFC 7519 section 4", "payload_unreadable", proof(good, claims=text(PROOF_CLAIMS | {"wth": hashed(good)})[:-1] + ',"aud":"x"}'))
refuse_proof("a line break after it", "WIT-18", "signature_unreadable", shown + "\n")
refuse_proof("an extension that must be understood", "RFC 7515 section 4.1.11", "critical_extension", proof(good, PROOF_HEADER | {"crit": ["x"], "x": 1}))
for alg in ("none", "HS256", "EdDSA"):
    refuse_proof(f"algorithm {alg}", "WIT-08", "unsupported_algorithm", proof(good, PROOF_HEADER | {"alg": alg}))
refuse_proof("another algorithm than the token says", "wpt-01 section 2", "algorithm_other", proof(good, alg="ES384"))
made = wit(claims=CLAIMS | {"cnf": {"jwk": bound_key("RS256")}})
refuse_proof("another algorithm with the same key", "wpt-01 section 2", "algorithm_other", proof(made, alg="PS256"), made)
refuse_proof("a thief's signature", "WIT-17", "signature_invalid", proof(good, key="thief"))
refuse_proof("a thief's key in the header", "WIT-17", "signature_invalid", proof(good, PROOF_HEADER | {"jwk": bound_key("ES256", "thief"), "kid": "thief"}, key="thief"))
refuse_proof("the issuer's signature", "WIT-17", "signature_invalid", proof(good, key="p256"))
refuse_proof("no signature", "WIT-17", "signature_invalid", f"{p_head}.{p_body}.")
refuse_proof("a signature of zeros", "CVE-2022-21449", "signature_invalid", f"{p_head}.{p_body}.{b64(bytes(64))}")
refuse_proof("another payload", "WIT-18", "signature_invalid", f"{p_head}.{b64(text(PROOF_CLAIMS | {'exp': NOW + 90, 'wth': hashed(good)}).encode())}.{p_sign}")
made = wit(claims=CLAIMS | {"cnf": {"jwk": bound_key("ES256") | {"y": bound_key("ES256")["x"]}}})
refuse_proof("for a token whose key is off the curve", "WIT-07", "signature_invalid", proof(made), made)
newer = wit(claims=CLAIMS | {"exp": NOW + 600})
refuse_proof("made for another token of the same holder", "WIT-18", "token_other", proof(newer))
refuse_proof("made for no token", "wpt-01 section 2", "token_other", proof(good, claims=PROOF_CLAIMS | {"wth": None}))
refuse_proof("the hash in hex", "wpt-01 section 2", "token_other", proof(good, claims=PROOF_CLAIMS | {"wth": hashlib.sha256(good.encode()).hexdigest()}))
refuse_proof("a hash that is a list", "wpt-01 section 2", "malformed_claim", proof(good, claims=PROOF_CLAIMS | {"wth": [hashed(good)]}))
refuse_proof("for nobody", "WIT-20", "audience_missing", proof(good, claims=without(PROOF_CLAIMS, "aud")))
refuse_proof("for an empty audience", "WIT-20", "audience_missing", proof(good, claims=PROOF_CLAIMS | {"aud": ""}))
refuse_proof("for an empty list", "WIT-20", "audience_missing", proof(good, claims=PROOF_CLAIMS | {"aud": []}))
for name, aud in (("another service", "https://other.example.org/v1/orders"), ("a path above", "https://api.example.org/v1"), ("another case", AUDIENCES[0].upper()), ("a query alone", "?" + AUDIENCES[0])):
    refuse_proof(f"for {name}", "WIT-20", "audience_other", proof(good, claims=PROOF_CLAIMS | {"aud": aud}))
refuse_proof("for two recipients", "WIT-20", "malformed_claim", proof(good, claims=PROOF_CLAIMS | {"aud": [AUDIENCES[0], "https://other.example.org"]}))
refuse_proof("without an end", "WIT-20", "expiry_missing", proof(good, claims=without(PROOF_CLAIMS, "exp")))
refuse_proof("ended by the leeway", "WIT-20", "expired", proof(good, claims=PROOF_CLAIMS | {"exp": NOW - LEEWAY}))
refuse_proof("good for too long", "WIT-20", "lives_too_long", proof(good, claims=PROOF_CLAIMS | {"exp": NOW + LONGEST + LEEWAY + 1}))
refuse_proof("begins in the future", "RFC 7519 section 4.1.5", "not_yet_valid", proof(good, claims=PROOF_CLAIMS | {"nbf": NOW + LEEWAY + 1}))
refuse_proof("an end that is a text", "WIT-20", "malformed_claim", proof(good, claims=PROOF_CLAIMS | {"exp": "soon"}))
refuse_proof("without an id", "wpt-01 section 2", "id_missing", proof(good, claims=without(PROOF_CLAIMS, "jti")))
refuse_proof("an empty id", "wpt-01 section 2", "id_missing", proof(good, claims=PROOF_CLAIMS | {"jti": ""}))
refuse_proof("an id of a kilobyte", "wpt-01 section 2", "id_missing", proof(good, claims=PROOF_CLAIMS | {"jti": "x" * 1024}))
refuse_proof("an id that is a number", "wpt-01 section 2", "malformed_claim", proof(good, claims=PROOF_CLAIMS | {"jti": 7}))
refuse_proof("an access token taken off", "wpt-01 section 2", "bound_other", proof(good, claims=PROOF_CLAIMS | {"ath": hashed(ACCESS)}))
refuse_proof("an access token put on", "wpt-01 section 2", "bound_other", shown, bound={"access_token": ACCESS})
refuse_proof("an access token exchanged", "wpt-01 section 2", "bound_other", proof(good, claims=PROOF_CLAIMS | {"ath": hashed(ACCESS)}), bound={"access_token": ACCESS + "x"})
refuse_proof("a transaction token put on", "wpt-01 section 2", "bound_other", shown, bound={"transaction_token": TRANSACTION})
refuse_proof("another token that is not understood", "wpt-01 section 2", "bound_other", proof(good, claims=PROOF_CLAIMS | {"oth": {"x-user": hashed(USER)}}))
refuse_proof("one more token than is named", "wpt-01 section 2", "bound_other", proof(good, claims=FULL), bound=ALL | {"others": ALL["others"] | {"x-role": "admin"}})
refuse_proof("a list of hashes", "wpt-01 section 2", "malformed_claim", proof(good, claims=PROOF_CLAIMS | {"oth": [hashed(USER)]}), bound={"others": {"x-user": USER}})
refuse_proof("a hash that is a number", "wpt-01 section 2", "malformed_claim", proof(good, claims=PROOF_CLAIMS | {"ath": 7}))

bundles = {
    "spiffe://example.org": {
        "keys": [public(keys[kid], "wit-svid") for kid in ("p256", "p384", "p521", "rsa")]
        + [public(keys["rsa-for-rs256"], "wit-svid", alg="RS256"), public(keys["jwt"], "jwt-svid"), public(keys["root"], "x509-svid")]
    },
    "spiffe://other.example": {"keys": [public(keys["other"], "wit-svid")]},
    "spiffe://jwt-only.example": {"keys": [public(keys["jwt"], "jwt-svid")]},
}
document = {
    "about": "WIT-SVIDs with proofs (draft-ietf-wimse-wpt-01) to accept, tokens and proofs to refuse, with the reason; made by tests/python/make_wit_svid_vectors.py",
    "now": NOW,
    "leeway_s": LEEWAY,
    "longest_proof_s": LONGEST,
    "audiences": AUDIENCES,
    "bundles": bundles,
    "accepted": accepted,
    "refused_tokens": refused_tokens,
    "refused_proofs": refused_proofs,
}
VECTORS.write_text(json.dumps(document, indent=1) + "\n")
print(f"{len(accepted)} accepted, {len(refused_tokens)} tokens and {len(refused_proofs)} proofs refused")
