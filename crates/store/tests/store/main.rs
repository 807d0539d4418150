//! The state's promises, kept on SQLite, PostgreSQL and MariaDB: nothing is done twice, nothing is lost, nobody sees what is not theirs.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod bed;
mod concurrency;
mod deployments;
mod dump;
mod jobs;
mod logs;
mod migrations;
mod outages;
mod presence;
mod processes;
mod queue;
mod relay;
mod retention;
mod secrets;
mod statements;
mod tenancy;
mod versions;
