//! Lines are numbered from 1 without gaps, whoever writes.

use domain::{logs::LogLevel, ports::infrastructure::OutputCursor};
use store::{
    Error,
    logs::{Filter, Line, Log, Read},
};

use crate::bed::Bed;

crate::bed::promises!(
    lines_of_many_writers_are_numbered_without_a_gap,
    lines_of_any_number_are_kept_as_they_came,
    what_was_read_twice_is_kept_once,
    lines_that_cannot_be_kept_move_no_cursor,
    a_filter_finds_the_text_itself_and_the_numbers_stay,
);

fn line(origin: &str, message: &str, level: LogLevel) -> Line {
    Line {
        sequence: 0,
        at_ns: 1,
        phase: "run",
        level,
        origin: origin.to_owned(),
        message: message.to_owned(),
    }
}

async fn lines_of_many_writers_are_numbered_without_a_gap(bed: Bed) {
    let log = Log::Run(bed.service("web").await.id);
    let stores = [bed.store.clone(), bed.another().await];
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = stores[writer % 2].clone();
            tokio::spawn(async move {
                let mut from = OutputCursor::default();
                for batch in 1..=20_u32 {
                    let origin = format!("writer-{writer}");
                    let message = batch.to_string();
                    let mut lines = vec![line(&origin, &message, LogLevel::Info); 5];
                    let to = OutputCursor {
                        at_ns: i64::from(batch),
                        lines_at_that_time: 5,
                    };
                    let read = Read {
                        instance: &origin,
                        from,
                        to,
                    };
                    store.append_lines(log, &mut lines, Some(read)).await.unwrap();
                    from = to;
                    assert!(lines.windows(2).all(|pair| pair[0].sequence + 1 == pair[1].sequence));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let lines = bed.store.lines(log, 0, &Filter::default(), 10_000).await.unwrap();
    assert_eq!(
        lines.iter().map(|line| line.sequence).collect::<Vec<_>>(),
        (1..=800).collect::<Vec<_>>()
    );
    assert_eq!(bed.store.newest_line(log).await.unwrap(), 800);
    for writer in 0..8 {
        let cursor = bed.store.output_cursor(&format!("writer-{writer}")).await.unwrap();
        assert_eq!(
            cursor,
            OutputCursor {
                at_ns: 20,
                lines_at_that_time: 5
            }
        );
    }
    assert_eq!(
        bed.store.output_cursor("nobody").await.unwrap(),
        OutputCursor::default()
    );
}

async fn lines_of_any_number_are_kept_as_they_came(bed: Bed) {
    let log = Log::Build(bed.deployment(&bed.service("web").await, &[]).await);
    let long = "é".repeat(8 * 1024);
    let mut all: Vec<Line> = Vec::new();
    for number in [1, 3, 4, 5, 31, 32, 37, 255, 256, 257, 700] {
        let mut lines: Vec<Line> = (0..number)
            .map(|place| Line {
                at_ns: place,
                phase: "build",
                ..line(&format!("of {number}"), &format!("{place} {long}"), LogLevel::Warn)
            })
            .collect();
        bed.store.append_lines(log, &mut lines, None).await.unwrap();
        all.append(&mut lines);
    }
    bed.store.append_lines(log, &mut [], None).await.unwrap();
    assert_eq!(
        all.iter().map(|line| line.sequence).collect::<Vec<_>>(),
        (1..=1581).collect::<Vec<_>>()
    );
    let kept = bed.store.lines(log, 0, &Filter::default(), 10_000).await.unwrap();
    assert!(kept == all, "what was kept is not what came");
}

fn at(at_ns: i64) -> OutputCursor {
    OutputCursor {
        at_ns,
        lines_at_that_time: 1,
    }
}

/// Two that follow the same output: a frozen process that wakes keeps nothing that another one kept meanwhile.
async fn what_was_read_twice_is_kept_once(bed: Bed) {
    let log = Log::Run(bed.service("web").await.id);
    let stores = [bed.store.clone(), bed.another().await];
    let followers: Vec<_> = stores
        .into_iter()
        .map(|store| {
            tokio::spawn(async move {
                let mut stale = 0;
                loop {
                    let from = store.output_cursor("i").await.unwrap();
                    if from.at_ns == 100 {
                        return stale;
                    }
                    let mut lines = [line("i", &from.at_ns.to_string(), LogLevel::Info)];
                    let to = at(from.at_ns + 1);
                    let read = Read {
                        instance: "i",
                        from,
                        to,
                    };
                    match store.append_lines(log, &mut lines, Some(read)).await {
                        Err(Error::Stale { .. }) => stale += 1,
                        end => end.unwrap(),
                    }
                }
            })
        })
        .collect();
    for follower in followers {
        let _: i32 = follower.await.unwrap();
    }
    let lines = bed.store.lines(log, 0, &Filter::default(), 1000).await.unwrap();
    let messages: Vec<String> = lines.into_iter().map(|line| line.message).collect();
    assert_eq!(messages, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    // The one that was frozen long ago, too.
    let read = Read {
        instance: "i",
        from: OutputCursor::default(),
        to: at(1),
    };
    let late = bed
        .store
        .append_lines(log, &mut [line("i", "0", LogLevel::Info)], Some(read))
        .await;
    assert!(matches!(late, Err(Error::Stale { .. })), "{late:?}");
    assert_eq!(bed.store.newest_line(log).await.unwrap(), 100);
}

async fn lines_that_cannot_be_kept_move_no_cursor(bed: Bed) {
    let gone = Log::Run(domain::ServiceId::mint());
    let mut lines = [line("a", "to nobody", LogLevel::Info)];
    let read = Read {
        instance: "a",
        from: OutputCursor::default(),
        to: at(9),
    };
    assert!(bed.store.append_lines(gone, &mut lines, Some(read)).await.is_err());
    assert_eq!(bed.store.output_cursor("a").await.unwrap(), OutputCursor::default());
}

async fn a_filter_finds_the_text_itself_and_the_numbers_stay(bed: Bed) {
    let log = Log::Run(bed.service("web").await.id);
    let texts = [
        "100% done",
        "100 done",
        "under_score",
        "underscore",
        "Bang! Bang!",
        "back\\slash",
        "GET /a",
    ];
    let mut lines: Vec<Line> = texts.iter().map(|text| line("a", text, LogLevel::Info)).collect();
    lines.push(line("a", "it failed", LogLevel::Error));
    bed.store.append_lines(log, &mut lines, None).await.unwrap();
    let found = async |text: &str, level| {
        let filter = Filter {
            text: text.to_owned(),
            level,
            phase: String::new(),
        };
        let lines = bed.store.lines(log, 0, &filter, 100).await.unwrap();
        lines.iter().map(|line| line.sequence).collect::<Vec<_>>()
    };
    assert_eq!(found("100%", None).await, [1]);
    assert_eq!(found("R_S", None).await, [3]);
    assert_eq!(found("bang!", None).await, [5]);
    assert_eq!(found("k\\s", None).await, [6]);
    assert_eq!(found("get /A", None).await, [7]);
    assert_eq!(found("", Some(LogLevel::Error)).await, [8]);
    assert_eq!(found("%' OR 1=1 --", None).await, Vec::<i64>::new());
    let run = bed.store.run_logs("", 10).await.unwrap().remove(0);
    assert_eq!(bed.store.forget_run_lines(&run, 5, 0).await.unwrap(), 5);
    let mut more = [line("a", "more", LogLevel::Info)];
    bed.store.append_lines(log, &mut more, None).await.unwrap();
    assert_eq!(found("", None).await, [6, 7, 8, 9]);
}
