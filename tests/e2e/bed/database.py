"""Where a platform keeps its state: a file of its own, or a fresh database on one of the two servers. Nothing here writes."""

import contextlib
import os
import sqlite3
import time
import uuid
from urllib.parse import unquote, urlsplit

import psycopg
import psycopg.rows
import pymysql
import pymysql.cursors

from . import counterparts

# How long a server that was killed is waited for, in seconds: a scenario keeps it away for 90.
PATIENCE = 150


def of(folder):
    """The database that CLICK_DEPLOY_TEST_E2E_DATABASE names; SQLite when it names none."""
    kind = os.environ.get("CLICK_DEPLOY_TEST_E2E_DATABASE") or "sqlite"
    if kind == "sqlite":
        return File(folder / "data" / "click-deploy.db")
    return Server(kind)


class Database:
    """What is asked of either kind."""

    @contextlib.contextmanager
    def reader(self):
        """A function that answers a SELECT (`?` for values) with a list of rows as dictionaries; for one thread."""
        raise NotImplementedError

    def rows(self, query, *values):
        """The rows of one SELECT."""
        with self.reader() as read:
            return read(query, *values)

    def value(self, query):
        """The first column of the first row as text; None before the platform has made its tables."""
        try:
            rows = self.rows(query)
        except (sqlite3.OperationalError, psycopg.Error, pymysql.Error):
            return None
        return str(next(iter(rows[0].values()))) if rows else None


class File(Database):
    """SQLite in the platform's data directory."""

    settings = {}

    def __init__(self, path):
        self.path = path

    @contextlib.contextmanager
    def reader(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            yield lambda query, *values: [dict(row) for row in connection.execute(query, values)]

    def end(self):
        """The file goes with its folder."""


class Server(Database):
    """A database of the platform's own on PostgreSQL or MariaDB, made now."""

    def __init__(self, kind, server=None):
        self.parts = urlsplit(server or counterparts.need(kind))
        self.is_postgres = kind == "postgresql"
        self.name = f"e2e_{uuid.uuid4().hex[:12]}"
        self.url = self.parts._replace(path=f"/{self.name}").geturl()
        self.settings = {"DATABASE_URL": self.url}
        self.command(f"CREATE DATABASE {self.name}")

    def connect(self, name):
        """A connection in which each statement sees what was committed before it."""
        place = {"host": self.parts.hostname, "port": self.parts.port, "user": unquote(self.parts.username or ""), "password": unquote(self.parts.password or "")}
        if self.is_postgres:
            return psycopg.connect(**place, dbname=name, autocommit=True, connect_timeout=10, row_factory=psycopg.rows.dict_row)
        return pymysql.connect(**place, database=name, autocommit=True, connect_timeout=10, cursorclass=pymysql.cursors.DictCursor)

    def command(self, statement):
        """A statement beside the database itself."""
        with contextlib.closing(self.connect(self.parts.path.lstrip("/"))) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    @contextlib.contextmanager
    def reader(self):
        with contextlib.ExitStack() as connections:
            cursor = None

            def read(query, *values):
                nonlocal cursor
                end = time.monotonic() + PATIENCE
                while True:
                    try:
                        if cursor is None:
                            cursor = connections.enter_context(contextlib.closing(self.connect(self.name))).cursor()
                        # Both drivers write `%s` for a value.
                        cursor.execute(query.replace("%", "%%").replace("?", "%s"), values)
                        return list(cursor.fetchall())
                    except (psycopg.OperationalError, pymysql.err.OperationalError, pymysql.err.InterfaceError):
                        cursor = None
                        if time.monotonic() > end:
                            raise
                        time.sleep(0.1)

            yield read

    def behind(self, host):
        """The address of the same database through a relay at `host`."""
        user, at, _ = self.parts.netloc.rpartition("@")
        return self.parts._replace(netloc=f"{user}{at}{host}", path=f"/{self.name}").geturl()

    def end(self):
        """Drops it."""
        self.command(f"DROP DATABASE IF EXISTS {self.name}{' WITH (FORCE)' if self.is_postgres else ''}")
