//! Checkouts from real repositories, honest and hostile.
#![cfg(feature = "source")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::{Duration, Instant},
};

use domain::{
    SecretText,
    names::{Branch, Commit, InsidePath},
    ports::source::{CommitFacts, GitRequest, SourceError, SourceLimits, SourceObserver, Sources},
    source::GitUrl,
};
use drivers::source::{GitPolicy, GitSources};
use tempfile::TempDir;

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl SourceObserver for Lines {
    fn line(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

impl Lines {
    fn has(&self, words: &str) -> bool {
        self.0.lock().unwrap().iter().any(|line| line.contains(words))
    }
}

struct Bench {
    top: TempDir,
    lines: Lines,
    limits: SourceLimits,
}

impl Bench {
    fn new() -> Self {
        let top = TempDir::new().unwrap();
        fs::create_dir(top.path().join("scratch")).unwrap();
        Self {
            top,
            lines: Lines::default(),
            limits: SourceLimits {
                seconds: 60,
                ..SourceLimits::default()
            },
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn sources(&self) -> GitSources {
        self.sources_that(true, true)
    }

    fn sources_that(&self, allow_file_urls: bool, allow_private_addresses: bool) -> GitSources {
        GitSources::new(GitPolicy {
            allow_file_urls,
            allow_private_addresses,
            git: "git".into(),
            scratch: self.path("scratch"),
        })
    }

    fn git(&self, repository: &str, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.path(repository))
            .args([
                "-c",
                "user.name=Ada",
                "-c",
                "user.email=ada@example.org",
                "-c",
                "protocol.file.allow=always",
            ])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A repository with one commit of these files.
    fn repository(&self, name: &str, files: &[(&str, &str)]) -> String {
        fs::create_dir_all(self.path(name)).unwrap();
        self.git(name, &["init", "-q", "-b", "main"]);
        self.commit(name, files, "first")
    }

    fn commit(&self, name: &str, files: &[(&str, &str)], message: &str) -> String {
        for (file, content) in files {
            let path = self.path(name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        self.git(name, &["add", "-A", "-f"]);
        self.git(name, &["commit", "-q", "--allow-empty", "-m", message]);
        self.git(name, &["rev-parse", "HEAD"])
    }

    /// The tree that the file `lines` of a repository describes.
    fn make_tree(&self, name: &str) -> String {
        let output = Command::new("git")
            .current_dir(self.path(name))
            .args(["mktree", "--missing"])
            .stdin(fs::File::open(self.path(name).join("lines")).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes `path` of a repository a submodule without asking Git what it thinks of it.
    fn submodule(&self, name: &str, path: &str, commit: &str) {
        self.git(
            name,
            &[
                "update-index",
                "--add",
                "--cacheinfo",
                &format!("160000,{commit},{path}"),
            ],
        );
        self.git(name, &["commit", "-q", "-m", "submodule"]);
    }

    fn file_url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    fn request(&self, url: &str) -> GitRequest {
        GitRequest {
            url: GitUrl::parse(url).unwrap(),
            branch: None,
            commit: None,
            deploy_key: None,
            limits: self.limits,
        }
    }

    fn target(&self) -> PathBuf {
        let target = self.path("target");
        let _ = fs::remove_dir_all(&target);
        fs::create_dir(&target).unwrap();
        target
    }

    async fn check_out(&self, request: &GitRequest) -> Result<CommitFacts, SourceError> {
        self.check_out_by(&self.sources(), request).await
    }

    async fn check_out_by(&self, sources: &GitSources, request: &GitRequest) -> Result<CommitFacts, SourceError> {
        let result = sources.checkout(request, &self.target(), &self.lines).await;
        assert_eq!(self.leavings(), Vec::<String>::new(), "the scratch is not empty");
        result
    }

    fn leavings(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("scratch")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "known_hosts").collect()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path("target").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path("target").join(path)).is_ok()
    }
}

fn is_refused(result: &Result<CommitFacts, SourceError>, words: &str) {
    match result {
        Err(SourceError::Refused(message)) => assert!(message.contains(words), "{message:?} lacks {words:?}"),
        other => panic!("{words}: {other:?}"),
    }
}

/// The processes whose environment or arguments name this directory.
fn processes_about(directory: &Path) -> Vec<String> {
    let text = directory.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let is_process = entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit());
        if !is_process || entry.file_name().to_string_lossy() == std::process::id().to_string() {
            continue;
        }
        for file in ["cmdline", "environ"] {
            let content = fs::read(entry.path().join(file)).unwrap_or_default();
            if String::from_utf8_lossy(&content).contains(&text) {
                found.push(entry.file_name().to_string_lossy().into_owned());
                break;
            }
        }
    }
    found
}

#[tokio::test]
async fn a_branch_a_tag_and_the_default_are_checked_out() {
    let bench = Bench::new();
    let first = bench.repository("app", &[("file", "one"), ("src/main", "x")]);
    bench.git("app", &["tag", "-a", "v1", "-m", "release"]);
    let second = bench.commit(
        "app",
        &[("file", "two")],
        "\u{1b}[31msecond\u{1b}[0m: change\n\nmore words",
    );
    bench.git("app", &["branch", "feature/x", &first]);
    let mut request = bench.request(&bench.file_url("app"));
    let facts = bench.check_out(&request).await.unwrap();
    let expected = CommitFacts {
        commit: Commit::parse(&second).unwrap(),
        message: "second: change".to_owned(),
        author: "Ada".to_owned(),
    };
    assert_eq!(facts, expected);
    assert_eq!((bench.read("file"), bench.read("src/main")), ("two".into(), "x".into()));
    assert!(!bench.has(".git"));
    assert!(bench.lines.has("Checked out"));
    for name in ["feature/x", "v1"] {
        request.branch = Some(Branch::parse(name).unwrap());
        assert_eq!(
            bench.check_out(&request).await.unwrap().commit.as_str(),
            first,
            "{name}"
        );
        assert_eq!(bench.read("file"), "one");
    }
    request.branch = Some(Branch::parse("missing").unwrap());
    match bench.check_out(&request).await {
        Err(SourceError::NoSuchRevision(what)) => assert!(what.contains("`missing`")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_exact_commit_is_checked_out_and_a_missing_one_is_named() {
    let bench = Bench::new();
    let first = bench.repository("app", &[("file", "one")]);
    bench.commit("app", &[("file", "two")], "second");
    let mut request = bench.request(&bench.file_url("app"));
    request.branch = Some(Branch::parse("main").unwrap());
    request.commit = Some(Commit::parse(&first).unwrap());
    assert_eq!(bench.check_out(&request).await.unwrap().message, "first");
    assert_eq!(bench.read("file"), "one");
    request.commit = Some(Commit::parse(&"ab".repeat(20)).unwrap());
    assert!(matches!(
        bench.check_out(&request).await,
        Err(SourceError::NoSuchRevision(_))
    ));
}

#[tokio::test]
async fn a_repository_of_sha256_is_checked_out() {
    let bench = Bench::new();
    fs::create_dir(bench.path("app")).unwrap();
    bench.git("app", &["init", "-q", "-b", "main", "--object-format=sha256"]);
    let commit = bench.commit("app", &[("file", "x")], "first");
    let mut request = bench.request(&bench.file_url("app"));
    assert_eq!(bench.check_out(&request).await.unwrap().commit.as_str(), commit);
    request.commit = Some(Commit::parse(&commit).unwrap());
    assert_eq!(bench.check_out(&request).await.unwrap().commit.as_str(), commit);
}

#[tokio::test]
async fn an_empty_and_a_missing_repository_are_told_apart() {
    let bench = Bench::new();
    fs::create_dir(bench.path("app")).unwrap();
    bench.git("app", &["init", "-q", "-b", "main"]);
    let result = bench.check_out(&bench.request(&bench.file_url("app"))).await;
    assert!(matches!(result, Err(SourceError::NoSuchRevision(_))), "{result:?}");
    let result = bench.check_out(&bench.request(&bench.file_url("nothing"))).await;
    assert!(matches!(result, Err(SourceError::Denied { .. })), "{result:?}");
}

#[tokio::test]
async fn what_the_policy_forbids_is_refused_before_anything_runs() {
    let bench = Bench::new();
    bench.repository("app", &[("file", "x")]);
    let strict = bench.sources_that(false, false);
    is_refused(
        &bench
            .check_out_by(&strict, &bench.request(&bench.file_url("app")))
            .await,
        "file://",
    );
    for url in [
        "http://127.0.0.1:1/x",
        "https://localhost/x",
        "https://[::1]/x",
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "https://2130706433/x",
        "http://0x7f.1/x",
        "ssh://git@127.0.0.1/x",
        "git@127.0.0.1:x",
        "git@localhost:x",
        "http://0/x",
    ] {
        is_refused(
            &bench.check_out_by(&strict, &bench.request(url)).await,
            "may not be asked",
        );
    }
    let result = bench
        .check_out_by(&strict, &bench.request("https://does-not-exist.invalid/x"))
        .await;
    assert!(matches!(result, Err(SourceError::Unreachable { .. })), "{result:?}");
}

#[tokio::test]
async fn hooks_filters_and_configuration_of_others_are_not_used() {
    let bench = Bench::new();
    let mark = bench.path("mark");
    let evil = format!("#!/bin/sh\ntouch {}\n", mark.display());
    bench.repository(
        "app",
        &[
            (".gitattributes", "* filter=evil\n*.txt filter=lfs"),
            (".githooks/post-checkout", &evil),
            ("hooks/post-checkout", &evil),
            ("config", "[filter \"evil\"]\n\tsmudge = touch mark\n"),
            ("file", "x"),
        ],
    );
    for hook in [
        "post-checkout",
        "post-merge",
        "reference-transaction",
        "pre-receive",
        "post-index-change",
    ] {
        let path = bench.path("app/.git/hooks").join(hook);
        fs::write(&path, &evil).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    bench.git(
        "app",
        &[
            "config",
            "uploadpack.packObjectsHook",
            &format!("touch {};", mark.display()),
        ],
    );
    fs::remove_file(&mark).ok();
    bench.check_out(&bench.request(&bench.file_url("app"))).await.unwrap();
    assert_eq!(bench.read("file"), "x");
    assert!(!mark.exists(), "something of the repository was run");
}

#[tokio::test]
async fn links_out_of_the_repository_are_left_out_and_the_root_directory_stays_inside() {
    let bench = Bench::new();
    bench.repository("app", &[("apps/web/file", "x")]);
    for (link, target) in [
        ("out", "/etc"),
        ("up", "../.."),
        ("apps/inside", "web"),
        ("apps/hop", "inside/../../.."),
    ] {
        symlink(target, bench.path("app").join(link)).unwrap();
    }
    bench.commit("app", &[], "links");
    bench.check_out(&bench.request(&bench.file_url("app"))).await.unwrap();
    assert!(!bench.has("out") && !bench.has("up") && !bench.has("apps/hop") && bench.has("apps/inside"));
    assert!(bench.lines.has("left out 3 links"));
    let sources = bench.sources();
    let target = bench.path("target");
    // As if one had come some other way.
    symlink("/etc", target.join("again")).unwrap();
    for bad in ["again", "again/ssl", "missing", "apps/web/file"] {
        let result = sources.confine(&target, &InsidePath::parse(bad).unwrap());
        assert!(
            matches!(result, Err(SourceError::NoSuchDirectory(_))),
            "{bad}: {result:?}"
        );
    }
    let top = fs::canonicalize(&target).unwrap();
    for (inside, expected) in [
        ("", top.clone()),
        ("apps/web", top.join("apps/web")),
        ("apps/inside", top.join("apps/web")),
    ] {
        assert_eq!(
            sources.confine(&target, &InsidePath::parse(inside).unwrap()).unwrap(),
            expected
        );
    }
}

#[tokio::test]
async fn submodules_are_fetched_at_their_commits() {
    let bench = Bench::new();
    let deep = bench.repository("deep", &[("deepest", "3")]);
    let modules = "[submodule \"d\"]\n\tpath = vendor/deep\n\turl = ../deep\n";
    bench.repository("library", &[("inner", "2"), (".gitmodules", modules)]);
    bench.submodule("library", "vendor/deep", &deep);
    let wanted = bench.git("library", &["rev-parse", "HEAD"]);
    bench.commit("library", &[("inner", "newer")], "later");
    let modules = format!(
        "[submodule \"../../evil\"]\n\tpath = lib\n\turl = {}\n\tbranch = main\n\tupdate = !touch mark\n\
         [submodule \"none\"]\n\tpath = skipped\n\turl = ext::sh\n\tupdate = none\n\
         [submodule \"stale\"]\n\tpath = not-there\n\turl = ext::sh\n",
        bench.file_url("library")
    );
    bench.repository("app", &[("top", "1"), (".gitmodules", &modules)]);
    bench.submodule("app", "lib", &wanted);
    bench.submodule("app", "skipped", &wanted);
    bench.submodule("app", "unsaid", &wanted);
    bench.check_out(&bench.request(&bench.file_url("app"))).await.unwrap();
    assert_eq!(
        (
            bench.read("top"),
            bench.read("lib/inner"),
            bench.read("lib/vendor/deep/deepest")
        ),
        ("1".into(), "2".into(), "3".into())
    );
    assert!(!bench.has("lib/.git") && !bench.has("lib/vendor/deep/.git") && bench.has("unsaid"));
    assert!(bench.lines.has("`unsaid` has no address"));
}

#[tokio::test]
async fn hostile_submodules_are_refused() {
    let bench = Bench::new();
    let commit = bench.repository("library", &[("inner", "2")]);
    let mark = bench.path("mark");
    let cases = [
        ("lib", format!("ext::sh -c touch% {}", mark.display())),
        ("lib", "--upload-pack=touch".to_owned()),
        ("lib", format!("-oProxyCommand=touch {}", mark.display())),
        ("lib", "ssh://-oProxyCommand=touch/x".to_owned()),
        ("lib", "/etc".to_owned()),
        ("lib", "git://example.org/x".to_owned()),
        ("lib", "https://user:password@example.org/x".to_owned()),
        ("lib", "../../../../../../../../etc".to_owned()),
        ("-lib", bench.file_url("library")),
    ];
    for (number, (path, url)) in cases.iter().enumerate() {
        let name = format!("app-{number}");
        let modules = format!("[submodule \"x\"]\n\tpath = {path}\n\turl = \"{url}\"\n");
        bench.repository(&name, &[(".gitmodules", &modules)]);
        bench.submodule(&name, path, &commit);
        let result = bench.check_out(&bench.request(&bench.file_url(&name))).await;
        is_refused(&result, "submodule");
        assert!(!mark.exists(), "{url}");
    }
    // Only where the policy allows it.
    let modules = "[submodule \"x\"]\n\tpath = lib\n\turl = http://127.0.0.1:1/x\n";
    bench.repository("local", &[(".gitmodules", modules)]);
    bench.submodule("local", "lib", &commit);
    let result = bench
        .check_out_by(
            &bench.sources_that(true, false),
            &bench.request(&bench.file_url("local")),
        )
        .await;
    is_refused(&result, "may not be asked");
}

/// What is behind the link is no `.gitmodules` of this repository.
#[tokio::test]
async fn a_link_in_the_place_of_gitmodules_is_not_followed() {
    let bench = Bench::new();
    let commit = bench.repository("library", &[("inner", "2")]);
    let modules = format!(
        "[submodule \"x\"]\n\tpath = lib\n\turl = {}\n",
        bench.file_url("library")
    );
    bench.repository("app", &[("other", &modules), ("target", "other")]);
    let blob = |name: &str| bench.git("app", &["rev-parse", &format!("HEAD:{name}")]);
    let lines = format!(
        "120000 blob {}\t.gitmodules\n160000 commit {commit}\tlib\n100644 blob {}\tother\n",
        blob("target"),
        blob("other")
    );
    fs::write(bench.path("app/lines"), lines).unwrap();
    let tree = bench.make_tree("app");
    let evil = bench.git("app", &["commit-tree", &tree, "-m", "evil"]);
    bench.git("app", &["update-ref", "refs/heads/main", &evil]);
    let result = bench.check_out(&bench.request(&bench.file_url("app"))).await;
    assert!(!bench.has("lib/inner"), "{result:?}");
    eprintln!("{result:?}");
}

/// Git itself refuses to make these; the objects are written by hand.
#[tokio::test]
async fn trees_with_paths_that_lead_elsewhere_are_refused() {
    let bench = Bench::new();
    let commit = bench.repository("app", &[("file", "x")]);
    let blob = bench.git("app", &["rev-parse", "HEAD:file"]);
    for (mode, name, object) in [
        ("100644", "..", &blob),
        ("100644", ".git", &blob),
        ("100644", ".GIT", &blob),
        ("100644", "a/../../b", &blob),
        ("160000", "../../x", &commit),
        ("160000", ".git", &commit),
        ("120000", ".git", &blob),
    ] {
        let mut tree = format!("{mode} {name}\0").into_bytes();
        tree.extend((0..20).map(|at| u8::from_str_radix(&object[at * 2..at * 2 + 2], 16).unwrap()));
        fs::write(bench.path("app/tree"), tree).unwrap();
        let tree = bench.git("app", &["hash-object", "-t", "tree", "-w", "--literally", "tree"]);
        let evil = bench.git("app", &["commit-tree", &tree, "-m", "evil"]);
        bench.git("app", &["update-ref", "refs/heads/evil", &evil]);
        let mut request = bench.request(&bench.file_url("app"));
        request.branch = Some(Branch::parse("evil").unwrap());
        let result = bench.check_out(&request).await;
        assert!(result.is_err(), "{mode} {name}");
        assert!(
            !matches!(result, Err(SourceError::Local(_))),
            "{mode} {name}: {result:?}"
        );
        assert!(!bench.path("b").exists());
    }
}

#[tokio::test]
async fn more_than_the_limits_allow_is_not_written() {
    let mut bench = Bench::new();
    bench.repository("app", &[("large", &"0123456789".repeat(100_000)), ("small", "x")]);
    bench.limits = SourceLimits {
        bytes: 500_000,
        ..bench.limits
    };
    let result = bench.check_out(&bench.request(&bench.file_url("app"))).await;
    assert!(matches!(result, Err(SourceError::TooLarge(_))), "{result:?}");
    assert!(!bench.has("small"), "files were written before they were counted");
    // Larger than allowed while it is still on its way.
    let noise: String = (0..400_000_u64)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)))
        .collect();
    bench.commit("app", &[("noise", &noise)], "noise");
    bench.limits = SourceLimits {
        bytes: 200_000,
        ..bench.limits
    };
    let result = bench.check_out(&bench.request(&bench.file_url("app"))).await;
    assert!(matches!(result, Err(SourceError::TooLarge(_))), "{result:?}");
    bench.limits = SourceLimits {
        bytes: 100_000_000,
        files: 2,
        ..bench.limits
    };
    let result = bench.check_out(&bench.request(&bench.file_url("app"))).await;
    assert!(matches!(result, Err(SourceError::TooLarge(_))), "{result:?}");
}

/// Ten levels of ten times the same directory: ten thousand million files in a kilobyte.
#[tokio::test]
async fn a_tree_that_repeats_itself_is_stopped_early() {
    let bench = Bench::new();
    bench.repository("app", &[("file", "x")]);
    let mut tree = bench.git("app", &["rev-parse", "HEAD^{tree}"]);
    for _ in 0..10 {
        let lines: String = (0..10).map(|n| format!("040000 tree {tree}\td{n}\n")).collect();
        fs::write(bench.path("app/lines"), lines).unwrap();
        tree = bench.make_tree("app");
    }
    let bomb = bench.git("app", &["commit-tree", &tree, "-m", "bomb"]);
    bench.git("app", &["update-ref", "refs/heads/bomb", &bomb]);
    let mut request = bench.request(&bench.file_url("app"));
    request.branch = Some(Branch::parse("bomb").unwrap());
    let before = Instant::now();
    let result = bench.check_out(&request).await;
    assert!(matches!(result, Err(SourceError::TooLarge(_))), "{result:?}");
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
}

#[tokio::test]
async fn pointers_of_git_lfs_are_named() {
    let bench = Bench::new();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n",
        "a".repeat(64)
    );
    bench.repository(
        "app",
        &[
            (".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n"),
            ("assets/model.bin", &pointer),
        ],
    );
    bench.check_out(&bench.request(&bench.file_url("app"))).await.unwrap();
    assert!(bench.lines.has("assets/model.bin"), "{:?}", bench.lines.0);
}

/// Serves the files of a directory, as a web server does that knows nothing of Git. `answer` may answer instead.
fn serve(root: PathBuf, answer: fn(&str) -> Option<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            std::thread::spawn(move || serve_one(stream, &root, answer));
        }
    });
    address
}

fn serve_one(mut stream: TcpStream, root: &Path, answer: fn(&str) -> Option<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    let _ = reader.read_line(&mut line);
    let mut header = String::new();
    while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
        header.clear();
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    if let Some(text) = answer(&path) {
        let _ = stream.write_all(text.as_bytes());
        return;
    }
    let file = root.join(path.split('?').next().unwrap().trim_start_matches('/'));
    let (status, body) = match fs::read(file) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&body);
}

#[tokio::test]
async fn a_server_of_plain_files_is_enough() {
    let bench = Bench::new();
    let first = bench.repository("app", &[("file", "one")]);
    bench.commit("app", &[("file", "two")], "second");
    bench.git("app", &["update-server-info"]);
    let address = serve(bench.path("app"), |_| None);
    let mut request = bench.request(&format!("http://{address}/.git"));
    assert_eq!(bench.check_out(&request).await.unwrap().message, "second");
    assert_eq!(bench.read("file"), "two");
    // The commit has no name there, so that its branch is fetched.
    request.commit = Some(Commit::parse(&first).unwrap());
    assert_eq!(bench.check_out(&request).await.unwrap().message, "first");
    assert_eq!(bench.read("file"), "one");
    request.commit = Some(Commit::parse(&"ab".repeat(20)).unwrap());
    let result = bench.check_out(&request).await;
    assert!(matches!(result, Err(SourceError::NoSuchRevision(_))), "{result:?}");
    let result = bench
        .check_out(&bench.request(&format!("http://{address}/nothing")))
        .await;
    assert!(matches!(result, Err(SourceError::Denied { .. })), "{result:?}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let bench = Bench::new();
    bench.repository("app", &[("file", "one")]);
    bench.git("app", &["update-server-info"]);
    let address = serve(bench.path("app"), |path| {
        let to_ending = path.starts_with("/short/") || path.starts_with("/away.git/") || path.starts_with("/away/");
        to_ending.then(|| "HTTP/1.1 302 Found\r\nLocation: /.git/info/refs\r\nContent-Length: 0\r\n\r\n".to_owned())
    });
    let result = bench.check_out(&bench.request(&format!("http://{address}/away"))).await;
    is_refused(&result, "redirects");
    // With the ending that GitLab would redirect to.
    fs::rename(bench.path("app/.git"), bench.path("app/short.git")).unwrap();
    bench
        .check_out(&bench.request(&format!("http://{address}/short")))
        .await
        .unwrap();
    assert_eq!(bench.read("file"), "one");
}

#[tokio::test]
async fn a_refused_login_is_denied_without_a_question() {
    let bench = Bench::new();
    let address = serve(bench.path("scratch"), |_| {
        Some("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n".to_owned())
    });
    let result = bench.check_out(&bench.request(&format!("http://{address}/x"))).await;
    match result {
        Err(SourceError::Denied { message }) => assert!(message.contains("deploy key"), "{message}"),
        other => panic!("{other:?}"),
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let result = bench.check_out(&bench.request(&format!("http://{closed}/x"))).await;
    assert!(matches!(result, Err(SourceError::Unreachable { .. })), "{result:?}");
}

#[tokio::test]
async fn a_silent_server_costs_no_more_than_the_deadline_and_leaves_nothing() {
    let mut bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    bench.limits.seconds = 1;
    let before = Instant::now();
    let result = bench.check_out(&bench.request(&url)).await;
    assert!(matches!(result, Err(SourceError::TooSlow(1))), "{result:?}");
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
    assert_eq!(processes_about(bench.top.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_dropped_checkout_leaves_no_process_and_no_directory() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for url in [
        format!("http://{}/x", listener.local_addr().unwrap()),
        format!("ssh://git@{}/x", listener.local_addr().unwrap()),
    ] {
        let mut request = bench.request(&url);
        request.deploy_key = Some(SecretText::new("no key"));
        let (sources, target) = (bench.sources(), bench.target());
        let checkout = sources.checkout(&request, &target, &bench.lines);
        assert!(
            tokio::time::timeout(Duration::from_millis(400), checkout)
                .await
                .is_err()
        );
        for _ in 0..40 {
            if processes_about(bench.top.path()).is_empty() && bench.leavings().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(processes_about(bench.top.path()), Vec::<String>::new(), "{url}");
        assert_eq!(bench.leavings(), Vec::<String>::new(), "{url}");
    }
}

/// The first thing that `ssh` says to a server is its version; what it is told then ends it.
#[tokio::test]
async fn ssh_is_asked_at_the_right_place_and_reads_no_configuration_of_ours() {
    if Command::new("ssh").arg("-V").output().is_err() {
        contract::bed::skipped("ssh");
        return;
    }
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut start = [0; 7];
        stream.read_exact(&mut start).unwrap();
        start
    });
    let mut request = bench.request(&format!("ssh://git@{address}/team/app.git"));
    request.deploy_key = Some(SecretText::new("no key"));
    let result = bench.check_out(&request).await;
    assert!(matches!(result, Err(SourceError::Unreachable { .. })), "{result:?}");
    assert_eq!(&heard.join().unwrap(), b"SSH-2.0");
}

#[tokio::test]
async fn a_deploy_key_is_made_and_nothing_of_it_stays() {
    if !Path::new("/usr/bin/ssh-keygen").exists() {
        contract::bed::skipped("ssh-keygen");
        return;
    }
    let bench = Bench::new();
    let sources = bench.sources();
    let (private, public) = sources.generate_deploy_key("shop/web of example.org").await.unwrap();
    assert!(private.expose().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
    assert!(
        public.starts_with("ssh-ed25519 ") && public.ends_with(" shop/web of example.org"),
        "{public}"
    );
    assert!(!format!("{private:?}").contains("BEGIN"));
    let (other, _) = sources.generate_deploy_key("x").await.unwrap();
    assert!(other != private);
    for comment in ["", "-x", "a\nb", "é", &"x".repeat(201)] {
        let result = sources.generate_deploy_key(comment).await;
        assert!(matches!(result, Err(SourceError::Refused(_))), "{comment:?}");
    }
    assert_eq!(bench.leavings(), Vec::<String>::new());
}

#[tokio::test]
async fn a_missing_git_is_said_in_words() {
    let bench = Bench::new();
    let sources = GitSources::new(GitPolicy {
        allow_file_urls: true,
        allow_private_addresses: true,
        git: "git-that-is-not-there".into(),
        scratch: bench.path("scratch"),
    });
    match bench.check_out_by(&sources, &bench.request("file:///x")).await {
        Err(SourceError::Local(cause)) => assert!(cause.to_string().contains("package `git`"), "{cause}"),
        other => panic!("{other:?}"),
    }
}

/// Not a benchmark: prints what a checkout costs beside the bare tool.
#[tokio::test]
#[ignore = "measures"]
async fn the_overhead_over_a_bare_clone() {
    let bench = Bench::new();
    let files: Vec<(String, String)> = (0..60)
        .map(|n| (format!("src/file-{n}.js"), format!("content {n}\n").repeat(50)))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_str()))
        .collect();
    bench.repository("app", &files);
    let sources = bench.sources();
    let url = bench.file_url("app");
    bench.check_out_by(&sources, &bench.request(&url)).await.unwrap();
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..15 {
        let before = Instant::now();
        bench.git(".", &["clone", "-q", "--depth", "1", &url, &format!("clone-{round}")]);
        bare.push(before.elapsed());
        let before = Instant::now();
        bench.check_out_by(&sources, &bench.request(&url)).await.unwrap();
        ours.push(before.elapsed());
    }
    bare.sort();
    ours.sort();
    eprintln!(
        "bare: median {:?}, least {:?}; ours: median {:?}, least {:?}",
        bare[7], bare[0], ours[7], ours[0]
    );
}
