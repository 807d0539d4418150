CREATE TABLE processes (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    role TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    started_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL
);
CREATE TABLE leases (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner TEXT COLLATE "C" NOT NULL,
    beat BIGINT NOT NULL
);
CREATE TABLE notices (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO notices (name, number) VALUES ('cancel', 0);
INSERT INTO notices (name, number) VALUES ('change', 0);
INSERT INTO notices (name, number) VALUES ('jobs', 0);
INSERT INTO notices (name, number) VALUES ('reconcile', 0);
CREATE TABLE orphans (
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);
ALTER TABLE jobs ADD COLUMN handed_over BIGINT NOT NULL DEFAULT 0;
