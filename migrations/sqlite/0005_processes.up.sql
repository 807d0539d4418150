CREATE TABLE processes (
    id TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    host TEXT NOT NULL,
    version TEXT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL
);
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    beat BIGINT NOT NULL
);
CREATE TABLE notices (
    name TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO notices (name, number) VALUES ('cancel', 0);
INSERT INTO notices (name, number) VALUES ('change', 0);
INSERT INTO notices (name, number) VALUES ('jobs', 0);
INSERT INTO notices (name, number) VALUES ('reconcile', 0);
CREATE TABLE orphans (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);
ALTER TABLE jobs ADD COLUMN handed_over BIGINT NOT NULL DEFAULT 0;
