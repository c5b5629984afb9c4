"""A workload in Python: fetches its X.509 context, verifies it, and watches it until so many further generations came.

usage: x509_updates.py SOCKET SPIFFE_ID GENERATIONS

Prints one line of JSON for each context. Ends with exit 0 when each was as the standard says, else with the reason.
"""

import json
import sys
import threading

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from spiffe import SpiffeId, TrustDomain, WorkloadApiClient

# The longest wait for one call or one update, in seconds.
PATIENCE = 40


def public_bytes(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def check(context, expected):
    """Checks one context as a careful workload would, and returns the serial of its certificate."""
    svid = context.default_svid
    assert svid.spiffe_id == SpiffeId(expected), f"{svid.spiffe_id} is not {expected}"
    assert public_bytes(svid.private_key.public_key()) == public_bytes(svid.leaf.public_key()), "the key is another one's"
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
    roots = list(bundle.x509_authorities)
    assert roots, "the bundle is empty"
    chain = svid.cert_chain
    assert len(chain) == 2, f"{len(chain)} certificates instead of leaf and issuing CA"
    chain[0].verify_directly_issued_by(chain[1])
    root = next(root for root in roots if root.subject == chain[1].issuer)
    chain[1].verify_directly_issued_by(root)
    usage = chain[0].extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH} == set(usage)
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [expected]
    return f"{chain[0].serial_number:032x}"


def main():
    socket, expected, generations = sys.argv[1], sys.argv[2], int(sys.argv[3])
    done, seen, failures = threading.Event(), [], []

    def note(context):
        try:
            serial = check(context, expected)
            if serial not in seen:
                seen.append(serial)
                print(json.dumps({"spiffe_id": expected, "serial": serial}), flush=True)
            if len(seen) > generations:
                done.set()
        except Exception as error:  # A callback's own error would be lost in the client's thread.
            failed(error)

    def failed(error):
        failures.append(error)
        done.set()

    with WorkloadApiClient(socket_path=f"unix://{socket}") as client:
        note(client.fetch_x509_context(timeout=PATIENCE))
        bundles = client.fetch_x509_bundles(timeout=PATIENCE)
        assert bundles.get_bundle_for_trust_domain(TrustDomain(SpiffeId(expected).trust_domain.name)) is not None
        stream = client.stream_x509_contexts(note, failed)
        ended = done.wait(PATIENCE)
        stream.cancel()
    if failures:
        sys.exit(f"not as the standard says: {failures[0]!r}")
    if not ended:
        sys.exit(f"{len(seen)} of {generations + 1} generations in {PATIENCE} s")


main()
