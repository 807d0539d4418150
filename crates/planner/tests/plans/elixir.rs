//! Elixir applications.

use crate::common::{fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const PHOENIX: (&str, &str) = (
    "mix.exs",
    r#"defmodule Shop.MixProject do
  def project do
    [app: :shop, version: "0.1.0", elixir: "~> 1.14", aliases: aliases(), deps: deps()]
  end

  defp deps do
    [{:phoenix, "~> 1.7"}, {:ecto_sql, "~> 3.10"},
     {:heroicons, github: "tailwindlabs/heroicons", app: false}]
  end

  defp aliases do
    ["assets.setup": ["tailwind.install"], "assets.deploy": ["tailwind shop --minify", "phx.digest"]]
  end
end
"#,
);
const LOCK: (&str, &str) = (
    "mix.lock",
    "%{\n  \"phoenix\": {:hex, :phoenix, \"1.7.14\", \"x\"},\n}\n",
);

#[test]
fn phoenix_becomes_a_release() {
    let files = [
        PHOENIX,
        LOCK,
        (
            "config/config.exs",
            "import Config\nimport_config \"#{config_env()}.exs\"\n",
        ),
        ("config/prod.exs", "import Config\n"),
        ("config/runtime.exs", ""),
        ("lib/shop.ex", ""),
    ];
    let variables = with_variables(&[("SECRET_KEY_BASE", "hunter2"), ("PHX_HOST", "x.example")]);
    let plan = try_plan(&files, &variables).unwrap();
    assert_eq!(plan.framework.as_deref(), Some("Phoenix"));
    assert_eq!(plan.base_images, ["elixir:1.18-otp-27", "debian:trixie-slim"]);
    assert_eq!(start(&plan), "exec bin/shop start");
    let text = &plan.dockerfile;
    let order = [
        "mix local.hex --force && mix local.rebar --force",
        "COPY mix.exs mix.lock ./",
        "mix deps.get --only prod --check-locked",
        "COPY config/prod.exs ./config/prod.exs",
        "mix deps.compile",
        "COPY . .",
        "mix compile && mix assets.setup && mix assets.deploy",
        "mix release --overwrite --path /out",
        "PHX_SERVER=true",
        "USER 1000:1000",
    ];
    let places: Vec<usize> = order.iter().map(|mark| text.find(mark).expect(mark)).collect();
    assert!(places.is_sorted(), "{places:?} in\n{text}");
    assert!(!text.contains("COPY config/runtime.exs") && !text.contains("hunter2"));
    assert_eq!(fact(&plan, "migrations").0, "not run");
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    assert!(try_plan(&files, &settings()).unwrap().warnings[0].contains("SECRET_KEY_BASE"));
}

#[test]
fn versions_of_elixir_and_erlang_go_together() {
    let image = |files: &[(&str, &str)]| {
        let mut all = vec![("mix.exs", "[app: :x, elixir: \"~> 1.15\"]")];
        all.extend(files);
        plan(&all).base_images[0].clone()
    };
    assert_eq!(image(&[]), "elixir:1.18-otp-27");
    assert_eq!(
        image(&[(".tool-versions", "erlang 26.2.5\nelixir 1.16.3-otp-26\n")]),
        "elixir:1.16-otp-26"
    );
    assert_eq!(
        image(&[("mise.toml", "[tools]\nelixir = \"1.19\"\nerlang = \"28\"\n")]),
        "elixir:1.19-otp-28"
    );
    assert_eq!(
        image(&[(
            "elixir_buildpack.config",
            "elixir_version=1.17.2\nerlang_version=25.3\n"
        )]),
        "elixir:1.17-otp-25"
    );
    let odd = plan(&[
        ("mix.exs", "[app: :x]"),
        (".tool-versions", "erlang 20\nelixir 1.14.1\n"),
    ]);
    assert_eq!(odd.base_images[0], "elixir:1.14-otp-25");
    assert!(
        odd.warnings.iter().any(|warning| warning.contains("Erlang 25")),
        "{:?}",
        odd.warnings
    );
    assert!(odd.warnings.iter().any(|warning| warning.contains("no security fixes")));
    let chosen = with_variables(&[("RAILPACK_ELIXIR_VERSION", "1.17"), ("RAILPACK_ERLANG_VERSION", "26")]);
    let plan = try_plan(&[("mix.exs", "[app: :x]")], &chosen).unwrap();
    assert_eq!(plan.base_images[0], "elixir:1.17-otp-26");
}

#[test]
fn a_program_without_packages_fetches_nothing() {
    let plan = plan(&[("mix.exs", "[app: :tool, deps: []]"), ("lib/tool.ex", "")]);
    assert!(
        !plan.dockerfile.contains("local.hex") && !plan.dockerfile.contains("deps.get"),
        "{}",
        plan.dockerfile
    );
    assert_eq!(start(&plan), "exec bin/tool start");
}

#[test]
fn releases_are_found_by_name() {
    let one = plan(&[(
        "mix.exs",
        "[app: :a, releases: [shop: [applications: [x: :permanent]]]]",
    )]);
    assert_eq!(start(&one), "exec bin/shop start");
    let two = plan(&[(
        "mix.exs",
        "[apps_path: \"apps\", releases: [\n  web: [a: [b: :c]],\n  worker: []\n]]",
    )]);
    assert_eq!(start(&two), "exec bin/web start");
    assert!(
        two.dockerfile.contains("mix release web ") && two.warnings[0].contains("worker"),
        "{}",
        two.dockerfile
    );
    let words = refusal(&[("mix.exs", "[apps_path: \"apps\"]")]);
    assert!(words.contains("releases:"), "{words}");
}

#[test]
fn local_packages_need_the_source_first() {
    let plan = plan(&[
        ("mix.exs", "[app: :a, deps: [{:b, path: \"libs/b\"}]]"),
        ("libs/b/mix.exs", ""),
    ]);
    assert!(
        plan.dockerfile.find("COPY . .") < plan.dockerfile.find("deps.get"),
        "{}",
        plan.dockerfile
    );
}

#[test]
fn what_users_say_wins() {
    let by_mix = plan(&[PHOENIX, LOCK, ("Procfile", "web: mix phx.server\n")]);
    assert_eq!(start(&by_mix), "exec mix phx.server");
    assert_eq!(by_mix.base_images, ["elixir:1.18-otp-27"]);
    let settings = Settings {
        start_command: Some("bin/shop eval 'Shop.Release.migrate' && bin/shop start".to_owned()),
        build_command: Some("mix compile && mix sites".to_owned()),
        ..settings()
    };
    let plan = try_plan(&[PHOENIX, LOCK], &settings).unwrap();
    assert_eq!(
        start(&plan),
        "bin/shop eval 'Shop.Release.migrate' && exec bin/shop start"
    );
    assert!(plan.dockerfile.contains("mix sites") && !plan.dockerfile.contains("assets.deploy"));
}
