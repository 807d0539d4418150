ALTER TABLE jobs DROP COLUMN handed_over;
DROP TABLE orphans;
DROP TABLE notices;
DROP TABLE leases;
DROP TABLE processes;
