//! Archives as users and attackers send them.
#![cfg(feature = "source")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::{
    fs,
    io::{Cursor, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::ports::source::{SourceError, SourceLimits, Sources};
use drivers::source::{GitPolicy, GitSources};
use tar::{EntryType, Header};
use tempfile::TempDir;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Beside the directory that is filled lies a neighbour that must stay as it is.
struct Bench {
    top: TempDir,
}

impl Bench {
    fn new() -> Self {
        let top = TempDir::new().unwrap();
        fs::create_dir(top.path().join("into")).unwrap();
        fs::create_dir(top.path().join("neighbour")).unwrap();
        fs::write(top.path().join("neighbour/file"), "untouched").unwrap();
        Self { top }
    }

    fn target(&self) -> PathBuf {
        self.top.path().join("into")
    }

    async fn unpack_within(&self, archive: &[u8], limits: SourceLimits) -> Result<(), SourceError> {
        let file = self.top.path().join("archive");
        fs::write(&file, archive).unwrap();
        let result = sources(self.top.path()).unpack(&file, &self.target(), limits).await;
        fs::remove_file(file).unwrap();
        let mut beside: Vec<_> = fs::read_dir(self.top.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        beside.sort();
        assert_eq!(beside, ["into", "neighbour"], "something was written outside");
        let neighbour: Vec<_> = fs::read_dir(self.top.path().join("neighbour")).unwrap().collect();
        assert_eq!(neighbour.len(), 1, "something was written to the neighbour");
        assert_eq!(
            fs::read_to_string(self.top.path().join("neighbour/file")).unwrap(),
            "untouched"
        );
        result
    }

    async fn unpack(&self, archive: &[u8]) -> Result<(), SourceError> {
        self.unpack_within(archive, SourceLimits::default()).await
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.target().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.target(), Path::new(""), &mut found);
        found.sort();
        found
    }
}

fn walk(top: &Path, inside: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(top.join(inside)).unwrap() {
        let entry = entry.unwrap();
        let path = inside.join(entry.file_name());
        found.push(path.to_string_lossy().into_owned());
        if entry.file_type().unwrap().is_dir() {
            walk(top, &path, found);
        }
    }
}

fn sources(top: &Path) -> GitSources {
    GitSources::new(GitPolicy {
        allow_file_urls: false,
        allow_private_addresses: false,
        git: "git".into(),
        scratch: top.join("scratch"),
    })
}

/// A tar archive, written by hand so that it can lie.
#[derive(Default)]
struct Tape(Vec<u8>);

impl Tape {
    fn entry(mut self, name: &[u8], kind: EntryType, mode: u32, target: &[u8], content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        {
            let bytes = header.as_mut_bytes();
            bytes[..name.len()].copy_from_slice(name);
            bytes[157..157 + target.len()].copy_from_slice(target);
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.content(content)
    }

    fn content(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(name.as_bytes(), EntryType::Regular, 0o644, b"", content.as_bytes())
    }

    fn directory(self, name: &str) -> Self {
        self.entry(name.as_bytes(), EntryType::Directory, 0o755, b"", b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), EntryType::Symlink, 0o777, target.as_bytes(), b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), EntryType::Link, 0o644, target.as_bytes(), b"")
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (key, value) in records {
            let bare = key.len() + value.len() + 3;
            let length = (bare..).find(|total| bare + total.to_string().len() == *total).unwrap();
            text.push_str(&format!("{length} {key}={value}\n"));
        }
        self.entry(b"pax", EntryType::XHeader, 0o644, b"", text.as_bytes())
    }

    fn done(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zipped(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let options = SimpleFileOptions::default()
            .unix_permissions(*mode)
            .compression_method(CompressionMethod::Deflated);
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn zip_with_link(name: &str, target: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("file", SimpleFileOptions::default()).unwrap();
    writer.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap().into_inner()
}

/// Replaces all occurrences of a text by another of the same length.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

async fn is_refused(archive: &[u8], words: &str) {
    match Bench::new().unpack(archive).await {
        Err(SourceError::Refused(message)) => assert!(message.contains(words), "{message:?} lacks {words:?}"),
        other => panic!("{words}: {other:?}"),
    }
}

async fn is_too_large(archive: &[u8], limits: SourceLimits) {
    let result = Bench::new().unpack_within(archive, limits).await;
    assert!(matches!(result, Err(SourceError::TooLarge(_))), "{result:?}");
}

#[tokio::test]
async fn each_format_is_unpacked_with_its_permissions() {
    let tar = Tape::default()
        .directory("src/")
        .file("src/main.py", "print(1)")
        .entry(b"run", EntryType::Regular, 0o755, b"", b"#!/bin/sh")
        .link("latest", "src/main.py")
        .hard_link("again", "src/main.py")
        .done();
    for archive in [gzip(&tar), tar] {
        let bench = Bench::new();
        bench.unpack(&archive).await.unwrap();
        assert_eq!(bench.files(), ["again", "latest", "run", "src", "src/main.py"]);
        assert_eq!(bench.read("latest"), "print(1)");
        assert_eq!(bench.read("again"), "print(1)");
        let mode = |path: &str| fs::metadata(bench.target().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("run"), mode("src/main.py")), (0o755, 0o644));
    }
    let bench = Bench::new();
    let archive = zipped(&[
        ("src/", 0o755, b""),
        ("src/main.py", 0o644, b"print(1)"),
        ("run", 0o755, b"x"),
    ]);
    bench.unpack(&archive).await.unwrap();
    assert_eq!(bench.files(), ["run", "src", "src/main.py"]);
    assert_eq!(
        fs::metadata(bench.target().join("run")).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    let bench = Bench::new();
    bench.unpack(&zip_with_link("link", "file")).await.unwrap();
    assert_eq!(fs::read_link(bench.target().join("link")).unwrap(), Path::new("file"));
}

#[tokio::test]
async fn one_directory_that_holds_everything_is_left_out() {
    let bench = Bench::new();
    let archive = Tape::default()
        .directory("./")
        .directory("./app/")
        .file("./app/package.json", "{}")
        .file("./app/app/inner", "x")
        .done();
    bench.unpack(&archive).await.unwrap();
    assert_eq!(bench.files(), ["app", "app/inner", "package.json"]);
    // A link that was inside of the archive but is not inside of what is left.
    is_refused(
        &Tape::default().file("app/a", "x").link("app/b", "../app/a").done(),
        "leads outside",
    )
    .await;
}

#[tokio::test]
async fn special_bits_go_and_the_owner_may_read_and_write() {
    let bench = Bench::new();
    let archive = Tape::default()
        .entry(b"closed", EntryType::Directory, 0, b"", b"")
        .entry(b"closed/root", EntryType::Regular, 0o6755, b"", b"x")
        .entry(b"unreadable", EntryType::Regular, 0, b"", b"x")
        .done();
    bench.unpack(&archive).await.unwrap();
    let mode = |path: &str| fs::metadata(bench.target().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode("closed"), mode("closed/root"), mode("unreadable")),
        (0o700, 0o755, 0o600)
    );
}

#[tokio::test]
async fn histories_and_the_leavings_of_macos_are_left_out() {
    let bench = Bench::new();
    let archive = Tape::default()
        .entry(
            b"pax_global_header",
            EntryType::XGlobalHeader,
            0o644,
            b"",
            b"19 comment=0123456\n",
        )
        .file("app/main", "x")
        .file("app/.git/hooks/post-checkout", "#!/bin/sh\nid")
        .file("app/sub/.GIT/config", "x")
        .file("app/.gitignore", "x")
        .file("app/._main", "x")
        .file("__MACOSX/app/._main", "x")
        .done();
    bench.unpack(&archive).await.unwrap();
    assert_eq!(bench.files(), [".gitignore", "main"]);
    is_refused(&Tape::default().file(".git/config", "x").done(), "no files").await;
}

#[tokio::test]
async fn long_names_are_read_and_overlong_ones_refused() {
    let bench = Bench::new();
    let long = format!("{}/{}/file", "d".repeat(200), "e".repeat(100));
    let archive = Tape::default()
        .pax(&[("path", &long), ("mtime", "1.5")])
        .file("short", "pax")
        .entry(
            b"././@LongLink",
            EntryType::GNULongName,
            0o644,
            b"",
            format!("{long}2\0").as_bytes(),
        )
        .file("short", "gnu")
        .file("x", "")
        .done();
    bench.unpack(&archive).await.unwrap();
    assert_eq!(
        (bench.read(&long), bench.read(&format!("{long}2"))),
        ("pax".into(), "gnu".into())
    );
    is_refused(
        &Tape::default().pax(&[("path", &"x".repeat(300))]).file("a", "").done(),
        "too long a name",
    )
    .await;
    let deep = "x/".repeat(500);
    is_refused(
        &Tape::default().pax(&[("path", &deep)]).directory("a").done(),
        "too long a path",
    )
    .await;
    let endless = vec![b'x'; 70_000];
    let archive = Tape::default()
        .entry(b"l", EntryType::GNULongName, 0o644, b"", &endless)
        .file("a", "")
        .done();
    is_refused(&archive, "overlong").await;
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    for (name, words) in [
        ("../neighbour/file", "`..`"),
        ("a/../../neighbour/file", "`..`"),
        ("/etc/passwd", "absolute"),
        ("C:/windows", "absolute"),
        ("c:evil", "absolute"),
        ("..\\neighbour\\file", "backslash"),
        ("a\nb", "control"),
        ("a\u{1b}[31m", "control"),
    ] {
        is_refused(&Tape::default().file(name, "x").done(), words).await;
        is_refused(&Tape::default().pax(&[("path", name)]).file("fine", "x").done(), words).await;
        is_refused(&zipped(&[(name, 0o644, b"x")]), words).await;
        is_refused(&Tape::default().file("f", "").hard_link("x", name).done(), words).await;
    }
    is_refused(
        &Tape::default()
            .entry(b"\xff\xfe", EntryType::Regular, 0o644, b"", b"")
            .done(),
        "UTF-8",
    )
    .await;
    is_refused(
        &replaced(zipped(&[("abc", 0o644, b"x")]), b"abc", b"\xff\xfe\xfd"),
        "UTF-8",
    )
    .await;
    is_refused(&replaced(zipped(&[("abc", 0o644, b"x")]), b"abc", b"a\0c"), "control").await;
    let long = format!("a\0{}", "b");
    is_refused(
        &Tape::default().pax(&[("path", &long)]).file("fine", "x").done(),
        "control",
    )
    .await;
}

#[tokio::test]
async fn links_that_lead_outside_are_refused() {
    for target in [
        "/etc/passwd",
        "..",
        "../neighbour",
        "a/../../neighbour",
        "./../neighbour/file",
        "a/b/../../../x",
    ] {
        is_refused(
            &Tape::default().file("f", "").link("link", target).done(),
            "leads outside",
        )
        .await;
        is_refused(&zip_with_link("link", target), "leads outside").await;
    }
    // Each of these is inside by its letters, and outside by what it passes.
    let chain = Tape::default()
        .file("f", "")
        .directory("a/b/c")
        .directory("d")
        .link("a/b/c/up", "../../../d")
        .link("out", "a/b/c/up/../../neighbour")
        .done();
    is_refused(&chain, "leads outside").await;
    let later = Tape::default()
        .file("f", "")
        .link("out", "x/../../y")
        .link("x", "y")
        .directory("y")
        .done();
    is_refused(&later, "leads outside").await;
    // And these stay.
    let bench = Bench::new();
    let fine = Tape::default()
        .file("a/f", "x")
        .link("b/to-a", "../a")
        .link("b/to-f", "to-a/f")
        .link("nowhere", "missing/file")
        .link("round", "round")
        .done();
    bench.unpack(&fine).await.unwrap();
    assert_eq!(bench.read("b/to-f"), "x");
}

#[tokio::test]
async fn hard_links_lead_to_files_of_the_archive_only() {
    for target in ["/etc/passwd", "missing", "dir", "link", "../neighbour/file"] {
        let archive = Tape::default()
            .directory("dir")
            .file("f", "")
            .link("link", "f")
            .hard_link("hard", target)
            .done();
        let result = Bench::new().unpack(&archive).await;
        assert!(matches!(result, Err(SourceError::Refused(_))), "{target}: {result:?}");
    }
}

#[tokio::test]
async fn nothing_is_written_through_a_link() {
    is_refused(
        &Tape::default().directory("d").link("l", "d").file("l/f", "x").done(),
        "through a link",
    )
    .await;
    is_refused(
        &Tape::default().link("l", "../neighbour").file("l/file", "x").done(),
        "through a link",
    )
    .await;
    is_refused(
        &Tape::default()
            .link("l", "../neighbour")
            .directory("l")
            .file("l/file", "x")
            .done(),
        "twice",
    )
    .await;
    is_refused(
        &Tape::default()
            .directory("d")
            .link("d", "../neighbour")
            .file("d/file", "x")
            .done(),
        "twice",
    )
    .await;
    is_refused(
        &Tape::default()
            .file("f", "a")
            .link("f", "../neighbour/file")
            .file("f", "b")
            .done(),
        "twice",
    )
    .await;
    is_refused(
        &Tape::default().link("f", "../neighbour/file").file("f", "b").done(),
        "twice",
    )
    .await;
    is_refused(&Tape::default().file("f", "a").file("./f", "b").done(), "twice").await;
    is_refused(
        &Tape::default().file("f", "a").file("f/g", "b").done(),
        "through a link or a file",
    )
    .await;
}

#[tokio::test]
async fn devices_pipes_and_sparse_files_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        is_refused(&Tape::default().entry(b"dev", kind, 0o666, b"", b"").done(), "device").await;
    }
    is_refused(
        &Tape::default()
            .entry(b"s", EntryType::GNUSparse, 0o644, b"", b"")
            .done(),
        "sparse",
    )
    .await;
    is_refused(
        &Tape::default().pax(&[("GNU.sparse.major", "1")]).file("s", "x").done(),
        "sparse",
    )
    .await;
    is_refused(
        &Tape::default()
            .entry(b"x", EntryType::new(b'V'), 0o644, b"", b"")
            .done(),
        "neither",
    )
    .await;
    is_refused(
        &Tape::default().pax(&[("size", "4096")]).file("s", "x").done(),
        "two different sizes",
    )
    .await;
    let device = replaced(
        zipped(&[("abc", 0o644, b"x")]),
        &(0o100_644_u32 << 16).to_le_bytes(),
        &(0o020_666_u32 << 16).to_le_bytes(),
    );
    is_refused(&device, "neither").await;
}

#[tokio::test]
async fn bombs_are_stopped_by_what_they_really_write() {
    let limits = SourceLimits {
        bytes: 1_000_000,
        files: 50,
        seconds: 20,
    };
    let zeros = "0".repeat(2_000_000);
    is_too_large(&gzip(&Tape::default().file("f", &zeros).done()), limits).await;
    let many: Vec<(&str, u32, &[u8])> = vec![
        ("a", 0o644, &zeros.as_bytes()[..600_000]),
        ("b", 0o644, &zeros.as_bytes()[..600_000]),
    ];
    is_too_large(&zipped(&many), limits).await;
    // A size that is a lie, in the list and before the entry.
    let bomb = zipped(&[("f", 0o644, zeros.as_bytes())]);
    let lying = replaced(bomb, &2_000_000_u32.to_le_bytes(), &10_u32.to_le_bytes());
    let result = Bench::new().unpack_within(&lying, limits).await;
    assert!(
        matches!(result, Err(SourceError::TooLarge(_) | SourceError::Refused(_))),
        "{result:?}"
    );
    let mut tape = Tape::default();
    for number in 0..60 {
        tape = tape.file(&format!("f{number}"), "");
    }
    is_too_large(&tape.done(), limits).await;
    let deep = (0..60).map(|_| "d/").collect::<String>() + "f";
    is_too_large(&Tape::default().pax(&[("path", &deep)]).file("f", "").done(), limits).await;
    let names: Vec<String> = (0..200).map(|number| format!("f{number}")).collect();
    let entries: Vec<(&str, u32, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), 0o644, b"".as_slice()))
        .collect();
    is_too_large(&zipped(&entries), limits).await;
    // Entries that are left out count as well.
    let mut tape = Tape::default();
    for _ in 0..300 {
        tape = tape.file(".git/x", "");
    }
    is_too_large(&tape.done(), limits).await;
}

#[tokio::test]
async fn what_is_no_archive_is_refused_in_words() {
    is_refused(b"", "empty").await;
    is_refused(b"hello", "no archive").await;
    is_refused(&[0; 1024], "no files").await;
    is_refused(&Tape::default().directory("only").done(), "no files").await;
    is_refused(&zipped(&[]), "no files").await;
    is_refused(b"\xfd7zXZ\0", "an xz file").await;
    is_refused(&gzip(b"hello"), "no archive").await;
    is_refused(&gzip(&gzip(b"hello")), "does not hold a tar").await;
    is_refused(b"\x1f\x8bnonsense", "damaged").await;
    is_refused(b"PK\x03\x04nonsense", "damaged").await;
    let whole = Tape::default().file("f", &"x".repeat(5000)).done();
    is_refused(&whole[..3000], "damaged").await;
    let whole = gzip(&whole);
    is_refused(&whole[..whole.len() / 2], "damaged").await;
}

/// Whatever the bytes: nothing outside is touched, nothing panics, and what is written stays within the limits.
#[tokio::test]
async fn no_archive_however_broken_writes_outside() {
    let tape = Tape::default()
        .directory("a")
        .file("a/b", "hello")
        .pax(&[("path", "a/pax"), ("linkpath", "b")])
        .link("a/l", "b")
        .hard_link("h", "a/b")
        .entry(b"././@LongLink", EntryType::GNULongName, 0o644, b"", b"a/long\0")
        .file("x", "y")
        .done();
    let zip = zipped(&[("a/", 0o755, b""), ("a/b", 0o644, b"hello"), ("c", 0o755, &[7; 3000])]);
    let seeds = [tape.clone(), gzip(&tape), zip, zip_with_link("l", "file")];
    let hostile: [&[u8]; 8] = [
        b"../",
        b"/",
        b"\0",
        b"..\\",
        b"2",
        b"1",
        b"\xff\xff\xff\xff",
        b"../neighbour/file",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    let limits = SourceLimits {
        bytes: 100_000,
        files: 100,
        seconds: 5,
    };
    let mut unpacked = 0;
    for round in 0..600 {
        let mut bytes = seeds[round % seeds.len()].clone();
        let is_tape = round % seeds.len() == 0;
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                2 => {
                    let text = hostile[next(hostile.len())];
                    let end = (at + text.len()).min(bytes.len());
                    bytes[at..end].copy_from_slice(&text[..end - at]);
                }
                _ => {
                    let from = next(bytes.len());
                    let end = (from + 512).min(bytes.len());
                    let block = bytes[from..end].to_vec();
                    bytes.splice(at..at, block);
                }
            }
        }
        if is_tape {
            resum(&mut bytes);
        }
        let bench = Bench::new();
        match bench.unpack_within(&bytes, limits).await {
            Ok(()) => {
                unpacked += 1;
                for file in bench.files() {
                    let real = fs::canonicalize(bench.target().join(&file));
                    assert!(
                        real.is_err() || real.unwrap().starts_with(fs::canonicalize(bench.target()).unwrap()),
                        "{file}"
                    );
                }
            }
            Err(SourceError::Refused(_) | SourceError::TooLarge(_)) => {}
            Err(other) => panic!("round {round}: {other:?}"),
        }
    }
    assert!(
        unpacked > 10,
        "only {unpacked} archives were accepted: the mutations are too coarse to test anything"
    );
}

/// Makes the sums of all blocks right that look like headers, so that mutations reach further.
fn resum(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            let mut header = Header::new_old();
            header.as_mut_bytes().copy_from_slice(block);
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_dropped_unpacking_writes_no_more() {
    let bench = Bench::new();
    let mut tape = Tape::default();
    for number in 0..20_000 {
        tape = tape.file(&format!("f{number}"), "content");
    }
    let archive = bench.top.path().join("archive");
    fs::write(&archive, tape.done()).unwrap();
    let sources = sources(bench.top.path());
    let into = bench.target();
    let unpacking = sources.unpack(&archive, &into, SourceLimits::default());
    assert!(
        tokio::time::timeout(Duration::from_millis(20), unpacking)
            .await
            .is_err(),
        "it was too quick to be dropped"
    );
    fs::remove_dir_all(bench.target()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!bench.target().exists());
    // Out of time is an error of its own.
    fs::create_dir(bench.target()).unwrap();
    let limits = SourceLimits {
        seconds: 0,
        ..SourceLimits::default()
    };
    let result = sources.unpack(&archive, &into, limits).await;
    assert!(matches!(result, Err(SourceError::TooSlow(0))), "{result:?}");
}
