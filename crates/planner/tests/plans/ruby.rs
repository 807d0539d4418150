//! Ruby applications.

use crate::common::{cmd, fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const RAILS: (&str, &str) = ("config/application.rb", "class Application < Rails::Application\nend");
const RACK: (&str, &str) = ("config.ru", "run App");

fn lock(gems: &[&str]) -> String {
    let specs: String = gems
        .iter()
        .map(|gem| format!("    {gem} (1.0.0)\n      racc (~> 1)\n"))
        .collect();
    format!(
        "GEM\n  remote: https://gems.example.org/\n  specs:\n{specs}\nPLATFORMS\n  ruby\n  x86_64-linux\n\nDEPENDENCIES\n  x\n\n\
         RUBY VERSION\n   ruby 3.4.2p100\n\nBUNDLED WITH\n   2.5.6\n"
    )
}

#[test]
fn rails_compiles_its_assets_and_is_served_by_puma() {
    let lock = lock(&["rails", "puma", "pg", "bootsnap", "propshaft", "nokogiri"]);
    let files = [
        ("Gemfile", "source 'https://gems.example.org'\ngem 'rails'\n"),
        ("Gemfile.lock", lock.as_str()),
        RAILS,
        RACK,
        ("bin/rails", ""),
    ];
    let plan = try_plan(&files, &with_variables(&[("RAILS_MASTER_KEY", "hunter2")])).unwrap();
    assert_eq!(plan.framework.as_deref(), Some("Rails"));
    assert_eq!(plan.base_images, ["ruby:3.4", "ruby:3.4-slim"]);
    assert_eq!(
        fact(&plan, "ruby version").1,
        "RUBY VERSION in Gemfile.lock:24 asks for 3.4.2"
    );
    assert_eq!(start(&plan), "exec bundle exec puma -b tcp://0.0.0.0:${PORT:-3000}");
    let text = &plan.dockerfile;
    let lock = text.find("COPY Gemfile Gemfile.lock ./").unwrap();
    let install = text.find("bundle install").unwrap();
    let source = text.find("COPY . .").unwrap();
    let assets = text.find("assets:precompile").unwrap();
    assert!(lock < install && install < source && source < assets, "{text}");
    assert!(text.contains("BUNDLE_DEPLOYMENT=1") && text.contains("RAILS_ENV=production RAILS_LOG_TO_STDOUT=1"));
    assert!(
        text.contains("SECRET_KEY_BASE_DUMMY=1") && text.contains("id=RAILS_MASTER_KEY"),
        "{text}"
    );
    assert!(text.contains("bootsnap precompile -j 1 --gemfile") && text.contains("bootsnap precompile -j 1 $(ls"));
    assert!(
        text.contains("libjemalloc2") && text.contains("libpq5") && text.contains("libxslt1.1"),
        "{text}"
    );
    assert!(text.contains("\nUSER 1000:1000\n") && !text.contains("hunter2") && !text.contains("migrate"));
    assert_eq!(fact(&plan, "migrations").0, "not run");
    assert_eq!(fact(&plan, "bundler").0, "2.5.6");
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn an_api_of_rails_has_no_assets() {
    let lock = lock(&["rails", "puma"]);
    let plan = plan(&[("Gemfile", ""), ("Gemfile.lock", &lock), RAILS, RACK]);
    assert!(!plan.dockerfile.contains("assets:precompile"), "{}", plan.dockerfile);
}

#[test]
fn node_is_there_for_the_pipelines_that_call_it() {
    let lock = lock(&["rails", "puma", "propshaft", "jsbundling-rails"]);
    let plan = plan(&[
        ("Gemfile", ""),
        ("Gemfile.lock", &lock),
        RAILS,
        RACK,
        (
            "package.json",
            r#"{"dependencies":{"esbuild":"0.25"},"scripts":{"build":"esbuild"}}"#,
        ),
        ("yarn.lock", "# yarn lockfile v1\n"),
    ]);
    let text = &plan.dockerfile;
    assert!(
        plan.base_images.contains(&"node:24-slim".to_owned()),
        "{:?}",
        plan.base_images
    );
    assert!(
        text.find("yarn install").unwrap() < text.find("assets:precompile").unwrap(),
        "{text}"
    );
    let last = text.rsplit_once("\nFROM ").unwrap().1;
    assert!(!last.contains("node"), "{text}");
}

#[test]
fn the_version_is_what_bundler_insists_on() {
    let of = |gemfile: &str, file: &str| {
        let plan = plan(&[("Gemfile", gemfile), (".ruby-version", file), ("app.rb", "")]);
        (plan.base_images.last().cloned().unwrap(), plan.warnings.join(" "))
    };
    assert_eq!(of("ruby '3.3.1'\n", "").0, "ruby:3.3.1-slim");
    assert_eq!(of("ruby file: '.ruby-version'\n", "ruby-3.4.4\n").0, "ruby:3.4.4-slim");
    assert_eq!(of("ruby \"~> 3.2\" # any\n", "").0, "ruby:3.3-slim");
    assert_eq!(of("ruby '>= 3.4', '< 4.1'\n", "").0, "ruby:4.0-slim");
    assert_eq!(of("", "3.2.1\n").0, "ruby:3.2-slim");
    assert!(of("", "3.2.1\n").1.contains("no security fixes"));
    assert!(of("ruby '2.6.6'\n", "").1.contains("no security fixes"));
    assert_eq!(of("# ruby '3.4.1'\n", "").0, "ruby:3.3-slim");
    let chosen = with_variables(&[("RAILPACK_RUBY_VERSION", "3.4")]);
    let plan = try_plan(&[("Gemfile", "ruby '3.3.1'\n"), ("app.rb", "")], &chosen).unwrap();
    assert_eq!(plan.base_images, ["ruby:3.4-slim"]);
    let tools = try_plan(
        &[
            ("Gemfile", ""),
            ("mise.toml", "[tools]\nruby = \"latest\"\n"),
            ("app.rb", ""),
        ],
        &settings(),
    );
    assert_eq!(tools.unwrap().base_images, ["ruby:4.0-slim"]);
}

#[test]
fn sinatra_and_rack_are_served_by_what_they_bring() {
    let gems = lock(&["sinatra", "puma"]);
    let puma = plan(&[("Gemfile", ""), ("Gemfile.lock", &gems), RACK]);
    assert_eq!(puma.framework.as_deref(), Some("Sinatra"));
    assert_eq!(start(&puma), "exec bundle exec puma -b tcp://0.0.0.0:${PORT:-3000}");
    let gems = lock(&["sinatra"]);
    let classic = plan(&[
        ("Gemfile", ""),
        ("Gemfile.lock", &gems),
        ("app.rb", "require 'sinatra'"),
    ]);
    assert_eq!(
        start(&classic),
        "exec bundle exec ruby app.rb -o 0.0.0.0 -p ${PORT:-3000}"
    );
    let words = refusal(&[("Gemfile", "gem 'rack'\n"), RACK]);
    assert!(words.contains("bundle add puma"), "{words}");
    let nothing = refusal(&[("Gemfile", ""), ("lib/x.rb", "")]);
    assert!(nothing.contains("Set the start command"), "{nothing}");
}

#[test]
fn a_program_without_gems_installs_nothing() {
    let plan = plan(&[
        ("Gemfile", "source 'https://gems.example.org'\n"),
        ("Procfile", "web: ruby app.rb\n"),
        ("app.rb", ""),
    ]);
    assert_eq!(start(&plan), "exec ruby app.rb");
    assert_eq!(plan.base_images, ["ruby:3.3-slim"]);
    assert!(!plan.dockerfile.contains("bundle install"), "{}", plan.dockerfile);
}

#[test]
fn local_and_vendored_gems_are_there_before_bundler_needs_them() {
    let gems = lock(&["local"]);
    let local = plan(&[
        ("Gemfile", "gem \"local\", path: \"libs/local\"\n"),
        ("Gemfile.lock", &gems),
        ("libs/local/local.gemspec", ""),
        ("vendor/cache/x.gem", ""),
        ("app.rb", ""),
    ]);
    let text = &local.dockerfile;
    let install = text.find("bundle install").unwrap();
    assert!(text.find("COPY libs/local ./libs/local").unwrap() < install, "{text}");
    assert!(
        text.find("COPY vendor/cache ./vendor/cache").unwrap() < install,
        "{text}"
    );
    for gemfile in [
        "gemspec\n",
        "gem 'x', path: '../x'\n",
        "gem 'x', path: \"#{DIR}\"\n",
        "eval_gemfile 'y'\n",
    ] {
        let plan = plan(&[("Gemfile", gemfile), ("app.rb", "")]);
        assert!(
            plan.dockerfile.find("COPY . .") < plan.dockerfile.find("bundle install"),
            "{gemfile}"
        );
        assert!(!plan.dockerfile.contains("../x"));
    }
}

#[test]
fn jekyll_becomes_files() {
    let plan = plan(&[("Gemfile", "gem 'jekyll'\n"), ("_config.yml", ""), ("index.md", "")]);
    assert_eq!(plan.framework.as_deref(), Some("Jekyll"));
    assert_eq!(cmd(&plan)[0], "caddy");
    assert!(
        plan.dockerfile
            .contains("COPY --from=build --chown=10001:10001 /app/_site/ ./"),
        "{}",
        plan.dockerfile
    );
}

#[test]
fn what_users_say_wins() {
    let gems = lock(&["rails", "puma", "sprockets"]);
    let settings = Settings {
        install_command: Some("bundle install --local".to_owned()),
        build_command: Some("bundle exec rake build".to_owned()),
        start_command: Some("bundle exec sidekiq".to_owned()),
        ..settings()
    };
    let plan = try_plan(&[("Gemfile", ""), ("Gemfile.lock", &gems), RAILS, RACK], &settings).unwrap();
    assert_eq!(start(&plan), "exec bundle exec sidekiq");
    let text = &plan.dockerfile;
    assert!(
        text.contains("bundle install --local") && text.contains("rake build"),
        "{text}"
    );
    assert!(
        !text.contains("assets:precompile") && !text.contains("--jobs"),
        "{text}"
    );
}

#[test]
fn a_lock_file_without_linux_is_told() {
    let gems = lock(&["puma"]).replace("  ruby\n  x86_64-linux\n", "  arm64-darwin-24\n");
    let plan = plan(&[("Gemfile", ""), ("Gemfile.lock", &gems), RACK]);
    assert!(plan.warnings[0].contains("--add-platform"), "{:?}", plan.warnings);
}
