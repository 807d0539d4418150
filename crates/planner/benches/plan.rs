//! Milliseconds of a plan by the number of files: `cargo bench -p planner`, as a table.
//!
//! The floor beside it is one walk over the same files that asks for nothing but their names.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use planner::{Settings, plan};

const SIZES: [usize; 3] = [50, 500, 5000];
const ROUNDS: usize = 15;

/// A language, the files of an application, and the ending and text of each of its further files.
type Application = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

const APPLICATIONS: [Application; 4] = [
    (
        "go",
        &[
            ("go.mod", "module example.com/shop\n\ngo 1.24\n"),
            ("main.go", "package main\n\nfunc main() {}\n"),
        ],
        "go",
        "package part\n\nfunc Part() int { return 1 }\n",
    ),
    (
        "node",
        &[
            (
                "package.json",
                r#"{"scripts": {"start": "node server.js"}, "dependencies": {"express": "^5"}}"#,
            ),
            ("package-lock.json", r#"{"lockfileVersion": 3, "packages": {}}"#),
            ("server.js", "require('express')().listen(process.env.PORT)"),
        ],
        "js",
        "module.exports = () => 1\n",
    ),
    (
        "python",
        &[
            ("requirements.txt", "fastapi\nuvicorn\n"),
            ("main.py", "from fastapi import FastAPI\napp = FastAPI()\n"),
        ],
        "py",
        "def part():\n    return 1\n",
    ),
    ("static", &[("index.html", "<h1>shop</h1>")], "html", "<p>part</p>\n"),
];

fn main() {
    println!(
        "{:<8} {:>6} {:>9} {:>9} {:>9} {:>7}",
        "language", "files", "median ms", "worst ms", "walk ms", "ratio"
    );
    for (language, files, end, text) in APPLICATIONS {
        for size in SIZES {
            let folder = tempfile::tempdir().expect("a folder");
            make(folder.path(), files, size, end, text);
            let settings = Settings {
                cache_key: "bench".to_owned(),
                ..Settings::default()
            };
            let mut plans: Vec<Duration> = Vec::new();
            let mut walks: Vec<Duration> = Vec::new();
            for _ in 0..ROUNDS {
                let began = Instant::now();
                plan(folder.path(), &settings).expect("a plan");
                plans.push(began.elapsed());
                let began = Instant::now();
                walk(folder.path());
                walks.push(began.elapsed());
            }
            plans.sort();
            walks.sort();
            let (median, floor) = (ms(plans[ROUNDS / 2]), ms(walks[ROUNDS / 2]));
            let worst = ms(plans[ROUNDS - 1]);
            println!(
                "{language:<8} {size:>6} {median:>9.2} {worst:>9.2} {floor:>9.2} {:>7.2}",
                median / floor
            );
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Twenty files to a folder, folders in folders.
fn make(root: &Path, files: &[(&str, &str)], size: usize, end: &str, text: &str) {
    for (name, text) in files {
        fs::write(root.join(name), text).expect("a file");
    }
    for number in files.len()..size {
        let folder = root.join(format!("part{}/inner{}", number / 200, number / 20));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("file{number}.{end}")), text).expect("a file");
    }
}

fn walk(folder: &Path) -> usize {
    fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            match entry.file_type().expect("a kind").is_dir() {
                true => walk(&entry.path()),
                false => 1,
            }
        })
        .sum()
}
