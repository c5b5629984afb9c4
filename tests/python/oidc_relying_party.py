"""A relying party that knows nothing of SPIFFE: finds the keys by OpenID Connect discovery and verifies a token.

usage: oidc_relying_party.py ISSUER CA_FILE AUDIENCE    (the token on standard input)

Prints the claims as JSON. Ends with exit 0 when the token is accepted and forgeries of it are not, else with the reason.
"""

import json
import ssl
import sys
import urllib.request

import jwt

# The longest wait for one answer, in seconds.
PATIENCE = 40


def discovered(issuer, context):
    """Reads the discovery document as OpenID Connect Discovery section 4 says."""
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    with urllib.request.urlopen(url, context=context, timeout=PATIENCE) as answer:
        document = json.load(answer)
    assert document["issuer"] == issuer, f"the document is of {document['issuer']}"
    return document


def refused(token, key, **expected):
    try:
        jwt.decode(token, key, algorithms=["ES256"], **expected)
    except jwt.InvalidTokenError:
        return
    sys.exit(f"accepted: {expected}")


def main():
    issuer, ca_file, audience = sys.argv[1:]
    token = sys.stdin.read().strip()
    context = ssl.create_default_context(cafile=ca_file)
    document = discovered(issuer, context)
    algorithms = document["id_token_signing_alg_values_supported"]
    key = jwt.PyJWKClient(document["jwks_uri"], ssl_context=context, timeout=PATIENCE).get_signing_key_from_jwt(token).key
    required = {"require": ["exp", "iat", "sub", "aud", "iss", "jti"]}
    claims = jwt.decode(token, key, algorithms=algorithms, audience=audience, issuer=issuer, options=required)
    refused(token, key, audience="somebody else", issuer=issuer)
    refused(token, key, audience=audience, issuer=issuer + "/other")
    header, payload, signature = token.split(".")
    refused(".".join([header, payload[:-4] + "AAAA", signature]), key, audience=audience, issuer=issuer)
    print(json.dumps(claims))


main()
