"""An application that logs in to PostgreSQL by psycopg and its own libpq, with connect.py of docs/integrations/postgresql.md: once for each line that it reads.

    postgresql_logins.py FOLDER_OF_CONNECT FILES PORT ROLE

Prints for each the serial of its certificate as the server saw it, in hexadecimal, or "failed: " and why.
"""

import os
import sys

folder, files, port, role = sys.argv[1:]
sys.path.insert(0, folder)
from connect import connect  # noqa: E402


def log_in():
    with connect(files, host="db.example.org", hostaddr="127.0.0.1", port=port, user=role, dbname="postgres", client_encoding="utf8", connect_timeout=30) as connection:
        user, serial = connection.execute(
            "select current_user::text, client_serial from pg_stat_ssl where pid = pg_backend_pid()"
        ).fetchone()
    if user != role:
        raise RuntimeError(f"logged in as {user}")
    return f"{int(serial):032x}"


def log_in_of_a_generation():
    """On a machine that stood still, two swaps may have taken the files away that a login had begun with; it begins again then."""
    while True:
        generation = os.path.realpath(os.path.join(files, "..data"))
        try:
            return log_in()
        except Exception:
            if os.path.isdir(generation):
                raise


for _ in sys.stdin:
    try:
        print(log_in_of_a_generation(), flush=True)
    except Exception as error:  # whatever it is, the test tells it
        print("failed:", str(error).replace("\n", " "), flush=True)
