//! Prints the plan of a directory as JSON, or `{"refusal": "…"}` and status 1:
//! `cargo run -p planner --example plan -- DIRECTORY [--env VARIABLE=VALUE]… [--cache-key KEY] [--closed-network] [--dockerfile]`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mut directory = None;
    let mut only_the_dockerfile = false;
    let mut settings = planner::Settings {
        cache_key: "example".to_owned(),
        ..planner::Settings::default()
    };
    while let Some(word) = words.next() {
        let understood = match word.as_str() {
            "--env" => words.next().and_then(|pair| {
                let (name, value) = pair.split_once('=')?;
                settings.variables.insert(name.to_owned(), value.to_owned());
                Some(())
            }),
            "--cache-key" => words.next().map(|key| settings.cache_key = key),
            "--closed-network" => {
                settings.closed_network = true;
                Some(())
            }
            "--dockerfile" => {
                only_the_dockerfile = true;
                Some(())
            }
            _ => directory.replace(word).is_none().then_some(()),
        };
        if understood.is_none() {
            return usage();
        }
    }
    let Some(directory) = directory else {
        return usage();
    };
    match planner::plan(directory.as_ref(), &settings) {
        Ok(plan) if only_the_dockerfile => {
            print!("{}", plan.dockerfile);
            ExitCode::SUCCESS
        }
        Ok(plan) => {
            println!("{}", serde_json::to_string_pretty(&plan).expect("a plan is JSON"));
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            println!("{}", serde_json::json!({ "refusal": refusal.to_string() }));
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: plan DIRECTORY [--env VARIABLE=VALUE]… [--cache-key KEY] [--closed-network] [--dockerfile]");
    ExitCode::from(2)
}
