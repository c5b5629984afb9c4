"""Asks a bundle endpoint as a program would that has nothing but its language's own TLS and HTTP, and prints what it saw as JSON.

    bundle_endpoint.py fetch ADDRESS HOST CAS TLS PATH [METHOD [TAG]]
    bundle_endpoint.py flood ADDRESS HOST CAS COUNT SOURCE

Connects to ADDRESS (HOST:PORT) and asks for HOST: where it is "-" for none, and then only the chain counts, not the name.
TLS is 1.2, 1.3 or "any". SOURCE is the address that the connections come from.
"""

import http.client
import json
import socket
import ssl
import sys


class Connection(http.client.HTTPConnection):
    """A connection whose host name for TLS is not the address."""

    def __init__(self, address, host, cas, tls="any", source=None):
        name, port = address.rsplit(":", 1)
        super().__init__(name, int(port), timeout=30, source_address=(source, 0) if source else None)
        self.context = ssl.create_default_context(cafile=cas)
        self.asked = None if host == "-" else host
        self.context.check_hostname = self.asked is not None
        if tls != "any":
            version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[tls]
            self.context.minimum_version = self.context.maximum_version = version

    def connect(self):
        super().connect()
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.asked)


def fetch(address, host, cas, tls, path, method="GET", tag=None):
    connection = Connection(address, host, cas, tls)
    connection.request(method, path, headers={"If-None-Match": tag} if tag else {})
    certificate, spoken = connection.sock.getpeercert(), connection.sock.version()
    answer = connection.getresponse()
    return {
        "status": answer.status,
        "headers": {name.lower(): value for name, value in answer.getheaders()},
        "body": answer.read().decode("utf-8"),
        "tls": spoken,
        "serial": certificate["serialNumber"],
        "names": [value for _, value in certificate["subjectAltName"]],
    }


def flood(address, host, cas, count, source):
    statuses, waits = {}, set()
    connection = Connection(address, host, cas, source=source)
    for _ in range(int(count)):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        waits.add(answer.getheader("Retry-After"))
    return {"statuses": statuses, "waits": sorted(wait for wait in waits if wait)}


if __name__ == "__main__":
    try:
        print(json.dumps({"fetch": fetch, "flood": flood}[sys.argv[1]](*sys.argv[2:])))
    except (ssl.SSLError, socket.error) as error:
        sys.exit(f"{type(error).__name__}: {error}")
