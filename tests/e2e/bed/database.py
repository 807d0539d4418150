"""Where a platform keeps its state: a file of its own, or a fresh database on one of the two servers."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import uuid
from urllib.parse import urlsplit

from . import counterparts


def of(folder):
    """The database that CLICK_DEPLOY_TEST_E2E_DATABASE names; SQLite when it names none."""
    kind = os.environ.get("CLICK_DEPLOY_TEST_E2E_DATABASE") or "sqlite"
    if kind == "sqlite":
        return File(folder / "data" / "click-deploy.db")
    return Server(kind)


class File:
    """SQLite in the platform's data directory."""

    settings = {}

    def __init__(self, path):
        self.path = path

    def value(self, sql):
        """The first column of the first row; None before the platform has made its tables."""
        if not self.path.exists():
            return None
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            row = database.execute(sql).fetchone()
            return str(row[0]) if row else None

    def end(self):
        """The file goes with its folder."""


class Server:
    """A database of the platform's own on PostgreSQL or MariaDB, made now."""

    def __init__(self, kind):
        self.server = counterparts.need(kind)
        self.name = f"e2e_{uuid.uuid4().hex[:12]}"
        self.parts = urlsplit(self.server)
        self.is_postgres = kind == "postgresql"
        self.url = self.parts._replace(path=f"/{self.name}").geturl()
        self.settings = {"DATABASE_URL": self.url}
        assert self.ask(f"CREATE DATABASE {self.name}", self.parts.path.lstrip("/")).returncode == 0

    def ask(self, sql, database):
        """Runs a statement by the server's own client."""
        if self.is_postgres:
            argv = ["psql", "-XAtq", "-d", self.parts._replace(path=f"/{database}").geturl(), "-c", sql]
        else:
            argv = ["mariadb", "--no-defaults", "-N", "-B", "-h", self.parts.hostname, "-P", str(self.parts.port)]
            argv += ["-u", self.parts.username, f"-p{self.parts.password}", database, "-e", sql]
        argv[0] = shutil.which(argv[0]) or counterparts.absent("postgresql" if self.is_postgres else "mariadb", f"no {argv[0]} on PATH")
        return subprocess.run(argv, capture_output=True, text=True, timeout=30)

    def value(self, sql):
        """The first column of the first row; None before the platform has made its tables."""
        done = self.ask(sql, self.name)
        return done.stdout.split("\n")[0].split("\t")[0] or None if done.returncode == 0 else None

    def end(self):
        """Drops it."""
        force = " WITH (FORCE)" if self.is_postgres else ""
        self.ask(f"DROP DATABASE {self.name}{force}", self.parts.path.lstrip("/"))
