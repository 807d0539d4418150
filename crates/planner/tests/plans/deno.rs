//! Deno applications.

use crate::common::{fact, plan, refusal, settings, start, try_plan, with_variables};

const LOCK: (&str, &str) = ("deno.lock", "{\"version\":\"5\"}");

#[test]
fn a_start_task_is_run_and_modules_are_keyed_by_the_lock_file() {
    let plan = plan(&[
        (
            "deno.json",
            "{\"tasks\":{\"start\":\"deno run -A server.ts\",\"build\":\"deno run -A build.ts\"},\"imports\":{\"hono\":\"npm:hono@4\"}}",
        ),
        LOCK,
        ("server.ts", "Deno.env.get(\"PORT\")"),
    ]);
    assert_eq!(
        (plan.provider.as_str(), plan.framework.as_deref()),
        ("deno", Some("Hono"))
    );
    assert_eq!(plan.base_images, ["denoland/deno:2.9.6"]);
    assert_eq!(start(&plan), "exec deno task start");
    let text = &plan.dockerfile;
    assert!(
        text.contains("COPY deno.json deno.lock ./\nRUN deno install --frozen\nCOPY . ."),
        "{text}"
    );
    assert!(
        text.contains("deno cache server.ts") && text.contains("deno task build"),
        "{text}"
    );
    assert!(text.contains("\nUSER 10001:10001\nCMD"), "{text}");
    assert!(plan.warnings.is_empty());
}

#[test]
fn a_file_is_run_and_told_where_to_listen() {
    let runs = plan(&[
        ("deno.jsonc", "{ // nothing\n}"),
        LOCK,
        ("main.ts", "Deno.serve(() => new Response())"),
    ]);
    assert!(
        start(&runs).ends_with("; exec deno run --allow-all main.ts"),
        "{}",
        start(&runs)
    );
    assert!(start(&runs).starts_with("export DENO_SERVE_ADDRESS="));
    assert_eq!(fact(&runs, "permissions").0, "all");
    let serves = plan(&[("deno.json", "{}"), LOCK, ("main.ts", "export default { fetch() {} }")]);
    assert!(
        start(&serves).contains("deno serve --allow-all main.ts"),
        "{}",
        start(&serves)
    );
    let literal = plan(&[
        ("deno.json", "{\"tasks\":{\"start\":\"deno serve --port 9000 a.ts\"}}"),
        LOCK,
    ]);
    assert_eq!(literal.port, Some(9000));
}

#[test]
fn an_old_deno_warns_a_newer_one_is_refused_and_nothing_to_start_says_what_to_do() {
    let with = |version: &str| {
        let files = [("deno.json", "{}"), LOCK, ("main.ts", ""), (".deno-version", version)];
        try_plan(&files, &settings())
    };
    assert!(with("2.2.2\n").unwrap().warnings.is_empty());
    assert!(
        with("1.46.3")
            .unwrap()
            .warnings
            .iter()
            .any(|warning| warning.contains("no updates"))
    );
    assert!(with("3.0.0").unwrap_err().to_string().contains(".deno-version"));
    let words = refusal(&[("deno.json", "{}"), LOCK]);
    assert!(words.contains("start task") && words.contains("main.ts"), "{words}");
    assert!(refusal(&[("deno.json", "{"), ("main.ts", "")]).contains("deno.json"));
}

#[test]
fn hostile_configurations_end_in_a_plan_or_a_refusal() {
    for evil in ["x\nRUN evil", "$(evil)", "\"]\nUSER root", "../../etc/passwd", "<<EOF"] {
        let text = serde_json::json!({ "tasks": { "start": evil, "build": evil }, "importMap": evil, "imports": { (evil): evil } });
        let variables = with_variables(&[("RAILPACK_DENO_VERSION", evil)]);
        let _ = try_plan(&[("deno.json", &text.to_string()), ("main.ts", evil)], &variables);
    }
    let deep = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
    let _ = refusal(&[("deno.json", &deep)]);
}
