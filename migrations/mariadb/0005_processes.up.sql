CREATE TABLE IF NOT EXISTS processes (
    id VARCHAR(255) NOT NULL PRIMARY KEY,
    role VARCHAR(255) NOT NULL,
    host VARCHAR(255) NOT NULL,
    version VARCHAR(255) NOT NULL,
    started_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS leases (
    name VARCHAR(255) NOT NULL PRIMARY KEY,
    owner VARCHAR(255) NOT NULL,
    beat BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
CREATE TABLE IF NOT EXISTS notices (
    name VARCHAR(255) NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
INSERT IGNORE INTO notices (name, number) VALUES ('cancel', 0);
INSERT IGNORE INTO notices (name, number) VALUES ('change', 0);
INSERT IGNORE INTO notices (name, number) VALUES ('jobs', 0);
INSERT IGNORE INTO notices (name, number) VALUES ('reconcile', 0);
CREATE TABLE IF NOT EXISTS orphans (
    kind VARCHAR(32) NOT NULL,
    name VARCHAR(512) NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS handed_over BIGINT NOT NULL DEFAULT 0;
