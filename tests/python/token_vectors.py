"""Keys and tokens for the vectors of tests/fixtures: JWKs, and JWS in compact form whose header and claims may be as wrong as a test wants them.

Signatures are made by the `cryptography` package, which is not what Troth verifies with. ECDSA is deterministic here; RSA-PSS draws its salt at random.
"""

import base64
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

CURVES = {"P-256": (ec.SECP256R1(), 32), "P-384": (ec.SECP384R1(), 48), "P-521": (ec.SECP521R1(), 66)}
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text):
    return int.from_bytes(unb64(text), "big")


def octets(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def new_ec(kid, curve):
    key, length = ec.generate_private_key(CURVES[curve][0]), CURVES[curve][1]
    point = key.public_key().public_numbers()
    secret = key.private_numbers().private_value
    return {"kid": kid, "kty": "EC", "crv": curve, "x": octets(point.x, length), "y": octets(point.y, length), "d": octets(secret, length)}


def new_rsa(kid):
    key = rsa.generate_private_key(65537, 2048).private_numbers()
    return {"kid": kid, "kty": "RSA", "n": octets(key.public_numbers.n), "e": octets(65537), "d": octets(key.d), "p": octets(key.p), "q": octets(key.q)}


def private(jwk):
    if jwk["kty"] == "EC":
        return ec.derive_private_key(number(jwk["d"]), CURVES[jwk["crv"]][0])
    p, q, d = number(jwk["p"]), number(jwk["q"]), number(jwk["d"])
    public = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"]))
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public).private_key()


def public(jwk, use, **more):
    return {"use": use} | {name: value for name, value in jwk.items() if name not in ("d", "p", "q")} | more


def signature(alg, jwk, message):
    key, digest = private(jwk), HASHES[alg[2:]]
    if alg.startswith("ES"):
        der = key.sign(message, ec.ECDSA(digest, deterministic_signing=True))
        r, s = utils.decode_dss_signature(der)
        length = CURVES[jwk["crv"]][1]
        return r.to_bytes(length, "big") + s.to_bytes(length, "big")
    if alg.startswith("RS"):
        return key.sign(message, padding.PKCS1v15(), digest)
    return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)


def text(value):
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def without(base, *names):
    return {name: value for name, value in base.items() if name not in names}


def kept_keys(file, make):
    """The keys of a file; made on the first run and kept since."""
    if not file.exists():
        file.write_text(json.dumps(make(), indent=1) + "\n")
    return {key["kid"]: key for key in json.loads(file.read_text())}


def compact(header, claims, alg, jwk):
    """A token whose signature is right for `alg` and the key, whatever its header says. Header and claims may be given as JSON text."""
    signed = f"{b64(text(header).encode())}.{b64(text(claims).encode())}"
    return f"{signed}.{b64(signature(alg, jwk, signed.encode()))}"
