use std::{collections::BTreeMap, os::unix::fs::symlink};

use flate2::read::GzDecoder;

use super::*;

fn files(names: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    folder
}

fn packed(root: &Path) -> Vec<u8> {
    list(root).unwrap().write(Vec::new(), |_| {}).unwrap()
}

/// Names without the archive's one directory; the value is a link's target or a file's content.
fn unpacked(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().strip_prefix(TOP).unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            text = format!("-> {}", target.display());
        }
        if !entry.header().entry_type().is_dir() {
            found.insert(name, text);
        }
    }
    found
}

fn names(root: &Path) -> Vec<String> {
    unpacked(&packed(root)).into_keys().collect()
}

#[test]
fn gitignore_is_honoured_at_every_level_and_dot_git_never_goes_along() {
    let folder = files(&[
        (".gitignore", "*.log\n/dist/\n!keep.log\n"),
        ("a.log", ""),
        ("keep.log", ""),
        ("dist/x", ""),
        ("web/dist/x", ""),
        ("web/.gitignore", "secret\n"),
        ("web/secret", ""),
        (".git/config", ""),
        ("web/.git/config", ""),
        ("module/.git", "gitdir: elsewhere"),
        (".github/workflows/ci.yml", ""),
        ("node_modules/x/index.js", ""),
    ]);
    assert_eq!(
        names(folder.path()),
        [
            ".github/workflows/ci.yml",
            ".gitignore",
            "keep.log",
            "node_modules/x/index.js",
            "web/.gitignore",
            "web/dist/x"
        ]
    );
}

#[test]
fn without_gitignore_what_tools_generate_is_left_out() {
    let folder = files(&[
        ("package.json", "{}"),
        ("node_modules/x/index.js", ""),
        ("web/node_modules/x/index.js", ""),
        (".venv/lib/x", ""),
        ("environment/pyvenv.cfg", ""),
        ("environment/lib/x", ""),
        ("Cargo.toml", ""),
        ("target/debug/x", ""),
        ("docs/target/x", ""),
        (".dockerignore", "docs\n"),
        (".ignore", "package.json\n"),
    ]);
    assert_eq!(
        names(folder.path()),
        [
            ".dockerignore",
            ".ignore",
            "Cargo.toml",
            "docs/target/x",
            "package.json"
        ]
    );
}

#[test]
fn rules_above_count_inside_a_repository_alone() {
    let inside = files(&[
        (".git/HEAD", ""),
        (".gitignore", "*.log\n"),
        ("app/a.log", ""),
        ("app/b", ""),
    ]);
    assert_eq!(names(&inside.path().join("app")), ["b"]);
    let outside = files(&[(".gitignore", "*.log\n"), ("app/a.log", ""), ("app/b", "")]);
    assert_eq!(names(&outside.path().join("app")), ["a.log", "b"]);
}

#[test]
fn links_stay_links_and_those_that_lead_out_are_named() {
    let folder = files(&[("real/file", "text")]);
    let link = |target: &str, name: &str| symlink(target, folder.path().join(name)).unwrap();
    link("real/file", "good");
    link("../good", "real/up");
    link("/etc/passwd", "absolute");
    link("../../etc/passwd", "real/out");
    link("nowhere", "dangling");
    link("real", "directory");
    let listing = list(folder.path()).unwrap();
    assert_eq!(listing.left_out.len(), 2, "{:?}", listing.left_out);
    let found = unpacked(&listing.write(Vec::new(), |_| {}).unwrap());
    let expected = [
        ("dangling", "-> nowhere"),
        ("directory", "-> real"),
        ("good", "-> real/file"),
        ("real/file", "text"),
        ("real/up", "-> ../good"),
    ];
    assert_eq!(found, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
}

#[test]
fn the_same_files_give_the_same_bytes_wherever_they_lie() {
    let names = [("z", "1"), ("a/b", "2"), ("a-b", "3"), ("a/c/d", "4")];
    let (one, two) = (files(&names), tempfile::tempdir().unwrap());
    for (name, text) in names.iter().rev() {
        let path = two.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    for folder in [&one, &two] {
        for (name, _) in names {
            let file = File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000))
                .unwrap();
        }
    }
    fs::set_permissions(two.path().join("z"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(packed(one.path()) == packed(two.path()));
    fs::set_permissions(two.path().join("z"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(packed(one.path()) != packed(two.path()));
}

#[test]
fn long_and_odd_names_come_back() {
    let long = format!("{}/{}", "d".repeat(120), "grün ✓ 日本 -x");
    let folder = files(&[(&long, "x"), ("a\nb", "y")]);
    assert_eq!(names(folder.path()), vec!["a\nb".to_owned(), long]);
}

#[test]
fn progress_counts_every_byte_of_the_files() {
    let folder = files(&[("a", &"x".repeat(100_000)), ("b", "yy")]);
    let mut seen = 0;
    let listing = list(folder.path()).unwrap();
    listing.write(io::sink(), |bytes| seen += bytes).unwrap();
    assert_eq!((seen, listing.bytes, listing.files), (100_002, 100_002, 2));
}

#[test]
fn what_is_too_large_is_refused_before_a_byte_is_sent() {
    let folder = files(&[("small", "x")]);
    fs::create_dir(folder.path().join("videos")).unwrap();
    File::create(folder.path().join("videos/film"))
        .unwrap()
        .set_len(LIMIT_BYTES)
        .unwrap();
    let error = list(folder.path()).unwrap_err().to_string();
    assert!(error.contains("2.0 GiB") && error.contains("videos"), "{error}");
}

#[test]
fn an_empty_directory_a_file_and_a_changed_file_are_refused() {
    let folder = files(&[(".gitignore", "*\n"), ("x", "")]);
    assert!(matches!(list(folder.path()), Err(PackError::Empty(_))));
    assert!(matches!(
        list(&folder.path().join("x")),
        Err(PackError::NotADirectory(_))
    ));
    let folder = files(&[("x", "12345")]);
    let listing = list(folder.path()).unwrap();
    fs::write(folder.path().join("x"), "123").unwrap();
    assert!(matches!(listing.write(io::sink(), |_| {}), Err(PackError::Changed(_))));
}

#[test]
fn files_that_may_hold_secrets_are_pointed_out() {
    let folder = files(&[(".env", "A=1"), (".env.example", ""), ("app.js", ""), ("deep/.env", "")]);
    assert_eq!(list(folder.path()).unwrap().secrets, [".env"]);
}
