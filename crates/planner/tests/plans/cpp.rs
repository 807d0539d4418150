//! C and C++ applications.

use crate::common::{cmd, fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const CMAKE: (&str, &str) = (
    "CMakeLists.txt",
    "cmake_minimum_required(VERSION 3.20)\nproject(shop LANGUAGES CXX)\nadd_executable(${PROJECT_NAME} main.cc)\n",
);
const MESON: (&str, &str) = (
    "meson.build",
    "project('shop', 'c')\nexecutable(meson.project_name(), 'main.c')\n",
);

#[test]
fn a_program_of_cmake_is_compiled_on_debian_and_runs_without_its_compilers() {
    let plan = plan(&[CMAKE, ("main.cc", "int main() {}\n"), ("pages/index.html", "")]);
    assert_eq!((plan.provider.as_str(), plan.port), ("cpp", None));
    assert_eq!(plan.base_images, ["debian:trixie-slim"]);
    assert_eq!(cmd(&plan), ["/app/bin/shop"]);
    assert_eq!(fact(&plan, "program"), ("shop", "the only program of CMakeLists.txt"));
    let text = &plan.dockerfile;
    assert!(
        text.contains("cmake --build /build --target shop") && text.contains("id=k1-ccache,"),
        "{text}"
    );
    assert!(
        text.contains("ldd \"$program\"") && text.contains("\nUSER 10001:10001\nCMD"),
        "{text}"
    );
    let last = text.rsplit("\nFROM ").next().unwrap_or_default();
    assert!(!last.contains("g++"), "{last}");
}

#[test]
fn a_program_of_meson_is_compiled() {
    let plan = plan(&[MESON, ("main.c", "int main(void) {}\n")]);
    assert!(
        plan.dockerfile.contains("meson compile -C /build shop:executable"),
        "{}",
        plan.dockerfile
    );
    assert_eq!(cmd(&plan), ["/app/bin/shop"]);
}

#[test]
fn libraries_that_are_looked_for_are_installed() {
    let cmake = plan(&[(
        "CMakeLists.txt",
        "project(shop)\nfind_package(OpenSSL REQUIRED)\npkg_check_modules(DB REQUIRED libpq>=15 zlib)\nadd_executable(shop a.cc)\n\
         include(FetchContent)\nFetchContent_Declare(x GIT_REPOSITORY y)\n",
    )]);
    assert_eq!(
        fact(&cmake, "system packages"),
        ("libpq-dev, libssl-dev, zlib1g-dev", "CMakeLists.txt looks for them")
    );
    assert!(cmake.dockerfile.contains(" git "), "what is fetched is fetched by Git");
    let meson = plan(&[(
        "meson.build",
        "project('a', 'c')\nexecutable('a', 'm.c', dependencies: [dependency('sqlite3')])\n",
    )]);
    assert_eq!(fact(&meson, "system packages").0, "libsqlite3-dev");
    assert!(!meson.dockerfile.contains(" git "), "{}", meson.dockerfile);
    let others = plan(&[CMAKE, ("vcpkg.json", "{}")]);
    assert!(
        others.warnings.iter().any(|warning| warning.contains("vcpkg")),
        "{:?}",
        others.warnings
    );
}

#[test]
fn of_several_programs_one_is_chosen_or_the_user_is_asked() {
    let of = |programs: &str, below: &str| {
        let root =
            format!("project(shop)\nset(NAME tool)\n{programs}\nadd_subdirectory(src)\nadd_subdirectory(tests)\n");
        [
            ("CMakeLists.txt".to_owned(), root),
            ("src/CMakeLists.txt".to_owned(), below.to_owned()),
            (
                "tests/CMakeLists.txt".to_owned(),
                "add_executable(checks a.cc)\n".to_owned(),
            ),
        ]
    };
    let planned = |files: &[(String, String)], settings: &Settings| {
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        try_plan(&files, settings)
    };
    let one = planned(&of("", "add_executable(${NAME} b.cc)"), &settings()).unwrap();
    assert_eq!(
        fact(&one, "program"),
        ("tool", "the only program that is no test and no example")
    );
    let named = planned(
        &of("add_executable(other c.cc)", "add_executable(shop b.cc)"),
        &settings(),
    )
    .unwrap();
    assert_eq!(fact(&named, "program").0, "shop");
    assert!(
        named
            .warnings
            .iter()
            .any(|warning| warning.contains("CLICK_DEPLOY_CPP_TARGET"))
    );
    let unclear = of(
        "add_executable(one c.cc)\nadd_executable(gone ALIAS one)",
        "add_executable(two b.cc)",
    );
    let words = planned(&unclear, &settings()).unwrap_err().to_string();
    assert!(
        words.contains("one, two, checks") && words.contains("CLICK_DEPLOY_CPP_TARGET"),
        "{words}"
    );
    let chosen = planned(&unclear, &with_variables(&[("CLICK_DEPLOY_CPP_TARGET", "two")])).unwrap();
    assert_eq!(cmd(&chosen), ["/app/bin/two"]);
    let missing = planned(&unclear, &with_variables(&[("CLICK_DEPLOY_CPP_TARGET", "three")]))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("There are: one, two"), "{missing}");
    let words = refusal(&[("CMakeLists.txt", "project(shop)\nadd_library(shop a.cc)\n")]);
    assert!(
        words.contains("add_executable") && words.contains("start commands"),
        "{words}"
    );
}

#[test]
fn commands_of_the_user_replace_what_would_be_done() {
    let started = plan(&[CMAKE, ("Procfile", "web: ./server --port $PORT\n")]);
    assert!(started.dockerfile.contains("/out/app/server"), "{}", started.dockerfile);
    assert_eq!(start(&started), "exec ./server --port $PORT");
    let settings = |start: Option<&str>| Settings {
        build_command: Some("make".into()),
        start_command: start.map(str::to_owned),
        ..settings()
    };
    let built = try_plan(&[CMAKE], &settings(Some("./out/shop"))).unwrap();
    assert!(built.dockerfile.contains("\"make\"]"), "{}", built.dockerfile);
    assert!(
        try_plan(&[CMAKE], &settings(None))
            .unwrap_err()
            .to_string()
            .contains("start command")
    );
}

#[test]
fn another_language_with_files_of_cmake_is_that_language() {
    assert_eq!(
        plan(&[CMAKE, ("package.json", "{}"), ("index.js", "")]).provider,
        "node"
    );
}

#[test]
fn hostile_names_reach_no_command() {
    for name in ["$(x)", "\"a b\"", "-x", "../x", "${${PROJECT_NAME}}"] {
        let text = format!(
            "project(\"`x`\")\nadd_executable({name} main.cc)\nadd_subdirectory(../..)\nadd_executable(plain a.cc)\n"
        );
        let plan = plan(&[("CMakeLists.txt", &text)]);
        assert!(
            !plan.dockerfile.contains("`x`") && !plan.dockerfile.contains("$(x)"),
            "{}",
            plan.dockerfile
        );
    }
}
