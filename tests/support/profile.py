"""The store the application has: `cargo xtask test --profile postgres` runs the same tests on PostgreSQL."""

import os

from . import checks, postgres

POSTGRES = os.environ.get("VENTANILLA_PROFILE") == "postgres"
TEMPLATE = "migrated"

_server = None
_databases = {}


class OtherStore(checks.OurHostOnly):
    """About the other store."""


def only_sqlite(why):
    """For a test that looks into SQLite's file."""
    if POSTGRES:
        raise OtherStore(why)


def arguments(data, env, cwd, given, migrate):
    """What `up` is given so that the application is on PostgreSQL, and the variables for that: one database for each folder of data, as there
    is one file of SQLite's in each. `migrate` runs that command with an environment."""
    if not POSTGRES or any(word.split("=")[0] == "--profile" for word in given):
        return list(given), env
    with open(os.path.join(cwd, "spin.toml")) as manifest:
        if ".profile.postgres" not in manifest.read():
            raise OtherStore("its application has one store, and no profile for another")
    if data not in _databases:
        _databases[data] = _new_database(migrate)
    url = _server.url(database=_databases[data])
    host = f"postgres://127.0.0.1:{_server.port}"
    return ["--profile", "postgres", *given], {**env, "SPIN_VARIABLE_POSTGRES_URL": url, "SPIN_VARIABLE_POSTGRES_HOST": host}


def _new_database(migrate):
    global _server
    if _server is None:
        # fsync as it is in earnest. Each process of ours may have 32 connections.
        _server = postgres.Postgres(connections=300)
        _server.sql(f"CREATE ROLE app LOGIN PASSWORD '{postgres.PASSWORD}'")
        _server.sql(f"CREATE DATABASE {TEMPLATE}")
        status, output, errors = migrate(_server.url("owner", TEMPLATE))
        checks.equal(status, 0, output + errors)
    name = f"data_{len(_databases)}"
    _server.sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return name


def clean():
    """Ends the server."""
    global _server
    if _server is not None:
        _server.close()
        _server = None
    _databases.clear()


