"""A TLS service in Python that checks revocation of the whole chain, and a client, in memory.

usage: crl_check.py SERVICE_CHAIN SERVICE_KEY BUNDLE LISTS CLIENT_CHAIN CLIENT_KEY

Prints "accepted", or why the service refused the client.
"""

import ssl
import sys


def main(service_chain, service_key, bundle, lists, client_chain, client_key):
    service = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    service.load_cert_chain(service_chain, service_key)
    service.verify_mode = ssl.CERT_REQUIRED
    service.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN | ssl.VERIFY_X509_STRICT
    service.load_verify_locations(bundle)
    service.load_verify_locations(lists)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(bundle)
    client.load_cert_chain(client_chain, client_key)

    to_service, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_service), service.wrap_bio(to_service, to_client, server_side=True)]
    try:
        # Each end does what it can until both are done: three turns are enough for TLS 1.3.
        for _ in range(4):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
        print("accepted" if ends[1].getpeercert() else "no certificate")
    except ssl.SSLCertVerificationError as error:
        print(error.verify_message)


main(*sys.argv[1:])
