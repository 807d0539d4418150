//! A log is followed without a line lost or doubled, whatever happens to the connection.

use crate::{
    fake::{Fake, Streams, id, line},
    run::run,
};

async fn follow(streams: Streams, lines: usize, seed: usize) -> (Fake, Vec<i64>) {
    let fake = Fake::start().await;
    fake.deployed(&["queued"]);
    fake.set(|world| {
        world.lines = (1..=lines)
            .map(|n| line(n, &format!("line {n} of run {seed}")))
            .collect();
        world.streams = streams;
        world.growing = true;
    });
    let home = tempfile::tempdir().unwrap();
    let ran = run(
        &fake.url,
        home.path(),
        &["logs", "--deployment", &id("dep", 1), "-f", "--json"],
    )
    .await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let sequences = ran.out.lines().map(|text| {
        serde_json::from_str::<serde_json::Value>(text).unwrap()["sequence"]
            .as_i64()
            .unwrap()
    });
    let sequences = sequences.collect();
    (fake, sequences)
}

#[tokio::test]
async fn no_line_is_lost_or_doubled_when_the_connection_is_cut_at_random() {
    for seed in 0..3 {
        let (fake, sequences) = follow(Streams::Cut, 400, seed).await;
        assert_eq!(sequences, (1..=400).collect::<Vec<i64>>());
        assert!(fake.world.lock().unwrap().connections > 10, "it was cut, and came back");
    }
}

#[tokio::test]
async fn a_good_connection_is_made_once() {
    let (fake, sequences) = follow(Streams::Good, 1000, 0).await;
    assert_eq!(sequences, (1..=1000).collect::<Vec<i64>>());
    assert_eq!(fake.world.lock().unwrap().connections, 1);
}

#[tokio::test]
async fn where_websockets_do_not_pass_the_log_is_asked_for() {
    let (_, sequences) = follow(Streams::Refused, 300, 0).await;
    assert_eq!(sequences, (1..=300).collect::<Vec<i64>>());
}
