//! Prints the plan of a directory: `cargo run -p planner --example plan -- DIRECTORY [VARIABLE=VALUE…]`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("usage: plan DIRECTORY [VARIABLE=VALUE…]");
        return ExitCode::from(2);
    };
    let pairs = std::env::args().skip(2);
    let variables = pairs.filter_map(|pair| {
        pair.split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    let settings = planner::Settings {
        cache_key: "example".to_owned(),
        variables: variables.collect(),
        ..planner::Settings::default()
    };
    match planner::plan(directory.as_ref(), &settings) {
        Ok(plan) => {
            for fact in &plan.facts {
                println!("# {}: {} ({})", fact.name, fact.value, fact.because);
            }
            for warning in &plan.warnings {
                println!("# warning: {warning}");
            }
            println!("{}", plan.dockerfile);
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::FAILURE
        }
    }
}
