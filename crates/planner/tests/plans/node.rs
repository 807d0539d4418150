//! Node.js applications.

use crate::common::{cmd, fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const LOCK: (&str, &str) = ("package-lock.json", "{}");

fn package(text: &str) -> (&str, &str) {
    ("package.json", text)
}

#[test]
fn an_express_server_is_one_stage_with_its_dependencies_before_its_source() {
    let plan = plan(&[
        package(r#"{"scripts":{"start":"node index.js"},"dependencies":{"express":"^5"},"engines":{"node":">=18"}}"#),
        LOCK,
        ("index.js", "require('express')().listen(process.env.PORT)"),
    ]);
    assert_eq!(
        (plan.provider.as_str(), plan.framework.as_deref(), plan.port),
        ("node", Some("Express"), None)
    );
    assert_eq!(plan.base_images, ["node:24-slim"]);
    assert_eq!(start(&plan), "exec node index.js");
    assert_eq!(plan.start_command.as_deref(), Some("node index.js"));
    let text = &plan.dockerfile;
    let order = [
        "COPY package.json package-lock.json ./",
        "npm ci --omit=dev",
        "COPY --chown=10001:10001 . .",
        "CMD",
    ]
    .map(|part| text.find(part).unwrap());
    assert!(order.is_sorted(), "{text}");
    assert!(text.contains("--mount=type=cache,id=k1-npm,target=/root/.npm"));
    assert!(text.contains("ENV NODE_ENV=production HOST=0.0.0.0 HOSTNAME=0.0.0.0"));
    assert_eq!(
        fact(&plan, "node version").1,
        "engines.node in package.json:1 asks for >=18"
    );
    let evidence = |name: &str| {
        let fact = plan.facts.iter().find(|fact| fact.name == name).expect("it is told");
        let place = fact.evidence.as_ref().expect("a file says so");
        (place.file.as_str(), place.line)
    };
    assert_eq!(evidence("node version"), ("package.json", Some(1)));
    assert_eq!(evidence("package manager"), ("package-lock.json", None));
    assert!(plan.dockerignore.unwrap().lines().any(|line| line == ".git"));
}

#[test]
fn without_a_lock_file_npm_installs_and_a_warning_says_so() {
    let plan = plan(&[package(r#"{"main":"a.js","dependencies":{"x":"1"}}"#), ("a.js", "")]);
    assert!(plan.dockerfile.contains("npm install --omit=dev"));
    assert!(plan.warnings.iter().any(|warning| warning.contains("no lock file")));
}

#[test]
fn without_dependencies_nothing_is_installed() {
    let plan = plan(&[("server.js", "require('http').createServer().listen(4000)")]);
    assert!(!plan.dockerfile.contains("npm"), "{}", plan.dockerfile);
    assert_eq!(start(&plan), "exec node server.js");
    assert_eq!(plan.port, Some(4000));
}

#[test]
fn the_version_comes_from_the_first_place_that_names_one() {
    let version = |files: &[(&str, &str)]| {
        let mut all = vec![("index.js", "")];
        all.extend(files);
        let plan = plan(&all);
        (plan.base_images[0].clone(), plan.warnings.len())
    };
    let empty = package("{}");
    assert_eq!(
        version(&[package(r#"{"engines":{"node":"22.x"}}"#), (".nvmrc", "20")]),
        ("node:22-slim".into(), 0)
    );
    assert_eq!(version(&[empty, (".nvmrc", "v22.11.0\n")]), ("node:22-slim".into(), 0));
    assert_eq!(version(&[empty, (".nvmrc", "lts/jod")]), ("node:22-slim".into(), 0));
    assert_eq!(version(&[empty, (".node-version", "22")]), ("node:22-slim".into(), 0));
    assert_eq!(
        version(&[empty, (".tool-versions", "python 3.9\nnodejs 22.1.0\n")]),
        ("node:22-slim".into(), 0)
    );
    assert_eq!(
        version(&[package(r#"{"engines":{"node":"16"}}"#)]),
        ("node:18-slim".into(), 2)
    );
    assert_eq!(
        version(&[package(r#"{"engines":{"node":"what"}}"#)]),
        ("node:24-slim".into(), 1)
    );
    let plan = try_plan(
        &[("index.js", "")],
        &with_variables(&[("CLICK_DEPLOY_NODE_VERSION", "20")]),
    )
    .unwrap();
    assert_eq!(plan.base_images, ["node:20-slim"]);
}

#[test]
fn each_package_manager_is_obtained_from_the_registry_and_installs_what_its_lock_says() {
    let text = |package_json: &str, files: &[(&str, &str)]| {
        let mut all = vec![("package.json", package_json), ("index.js", "")];
        all.extend(files);
        plan(&all).dockerfile
    };
    let plain = r#"{"dependencies":{"x":"1"}}"#;
    let pnpm = text(
        r#"{"packageManager":"pnpm@9.12.3+sha512.abc","dependencies":{"x":"1"}}"#,
        &[("pnpm-lock.yaml", "")],
    );
    assert!(pnpm.contains("pnpm@9.12.3\n"), "{pnpm}");
    assert!(pnpm.contains("pnpm install --frozen-lockfile --prod"));
    assert!(text(plain, &[("pnpm-lock.yaml", "lockfileVersion: '6.0'\n")]).contains("pnpm@8\n"));
    assert!(text(plain, &[("pnpm-lock.yaml", "lockfileVersion: '9.0'\n")]).contains("pnpm@10\n"));
    let classic = text(plain, &[("yarn.lock", "# yarn lockfile v1\n")]);
    assert!(
        classic.contains("yarn@1.22.22") && classic.contains("--frozen-lockfile --production=true"),
        "{classic}"
    );
    let berry = text(
        r#"{"packageManager":"yarn@4.5.0","dependencies":{"x":"1"}}"#,
        &[("yarn.lock", "__metadata:\n")],
    );
    assert!(
        berry.contains("@yarnpkg/cli-dist@4.5.0") && berry.contains("YARN_NODE_LINKER=node-modules"),
        "{berry}"
    );
    let bun = text(plain, &[("bun.lock", "{}")]);
    assert!(
        bun.contains("bun@1 &&") && bun.contains("bun install --frozen-lockfile --production"),
        "{bun}"
    );
    for text in [pnpm, classic, berry, bun] {
        assert!(!text.contains("corepack"));
    }
}

#[test]
fn a_hostile_package_manager_version_reaches_no_command() {
    let plan = plan(&[
        package(r#"{"packageManager":"pnpm@9; curl evil","dependencies":{"x":"1"}}"#),
        ("index.js", ""),
    ]);
    assert!(!plan.dockerfile.contains("curl"));
    assert!(plan.warnings.iter().any(|warning| warning.contains("packageManager")));
}

#[test]
fn a_server_with_a_build_runs_without_its_development_dependencies() {
    let plan = plan(&[
        package(
            r#"{"scripts":{"build":"tsc","start":"node dist/index.js"},"dependencies":{"fastify":"5"},"devDependencies":{"typescript":"5"}}"#,
        ),
        LOCK,
        ("src/index.ts", "server.listen({ port: Number(process.env.PORT) })"),
    ]);
    let text = &plan.dockerfile;
    assert!(text.contains("FROM install AS dependencies"), "{text}");
    assert!(text.contains("npm prune --omit=dev --ignore-scripts"));
    assert!(text.contains("COPY --from=dependencies --chown=10001:10001 /app/node_modules ./node_modules"));
    assert!(text.contains("COPY --from=build --chown=10001:10001 /out/ ./"));
    assert_eq!(start(&plan), "exec node dist/index.js");
    assert_eq!(plan.base_images, ["node:24-slim"]);
}

#[test]
fn development_dependencies_that_the_start_command_needs_stay() {
    for start in [
        "tsx src/a.ts",
        "node -r ts-node/register src/a.ts",
        "node --import=tsx src/a.ts",
    ] {
        let json = format!(r#"{{"scripts":{{"start":"{start}"}},"devDependencies":{{"tsx":"4","ts-node":"10"}}}}"#);
        let plan = plan(&[package(&json), LOCK]);
        assert!(plan.dockerfile.contains("npm ci --include=dev"), "{}", plan.dockerfile);
        assert!(!plan.dockerfile.contains("prune"));
        assert_eq!(fact(&plan, "development dependencies").0, "kept");
    }
}

#[test]
fn prisma_keeps_what_the_build_generated() {
    let plan = plan(&[
        package(
            r#"{"scripts":{"postinstall":"prisma generate","build":"tsc","start":"node dist/a.js"},"dependencies":{"@prisma/client":"6"},"devDependencies":{"prisma":"6"}}"#,
        ),
        LOCK,
        ("prisma/schema.prisma", ""),
    ]);
    assert!(plan.dockerfile.contains("COPY prisma ./prisma"), "{}", plan.dockerfile);
    assert!(!plan.dockerfile.contains("prune"));
}

#[test]
fn install_scripts_that_need_the_source_get_it() {
    let json = r#"{"scripts":{"postinstall":"node scripts/setup.js","start":"node a.js"},"dependencies":{"x":"1"}}"#;
    let text = plan(&[package(json), LOCK]).dockerfile;
    assert!(
        text.find("COPY --chown=10001:10001 . .").unwrap() < text.find("npm ci").unwrap(),
        "{text}"
    );
    assert_eq!(text.matches("COPY --chown=10001:10001 . .").count(), 1);
    let husky = r#"{"scripts":{"prepare":"husky","start":"node a.js"},"devDependencies":{"husky":"9"}}"#;
    let text = plan(&[package(husky), LOCK]).dockerfile;
    assert!(text.contains("COPY package.json package-lock.json ./"));
    // Without its development dependencies, `prepare` would fail.
    assert!(text.contains("npm ci --include=dev"), "{text}");
}

#[test]
fn next_starts_on_port_and_standalone_output_needs_no_dependencies() {
    let json = r#"{"scripts":{"dev":"next dev","build":"next build","start":"next start"},"dependencies":{"next":"15","react":"19"}}"#;
    let plain = plan(&[package(json), LOCK]);
    assert_eq!(plain.framework.as_deref(), Some("Next.js"));
    assert_eq!(start(&plain), "exec next start -p ${PORT:-3000} -H 0.0.0.0");
    assert!(plain.dockerfile.contains("id=k1-next,target=/app/.next/cache"));
    let standalone = plan(&[
        package(json),
        LOCK,
        ("next.config.mjs", "export default { output: 'standalone' }"),
    ]);
    assert_eq!(start(&standalone), "exec node server.js");
    assert!(
        standalone
            .dockerfile
            .contains("COPY --from=build --chown=10001:10001 /app/.next/standalone/ ./")
    );
    let export = plan(&[
        package(json),
        LOCK,
        ("next.config.js", "module.exports = {\n  output: \"export\",\n}"),
    ]);
    assert!(
        export
            .dockerfile
            .contains("COPY --from=build --chown=10001:10001 /app/out/ ./")
    );
    assert_eq!(export.base_images, ["node:24-slim", "caddy:2"]);
    let commented = plan(&[
        package(json),
        LOCK,
        ("next.config.js", "module.exports = {\n  // output: 'export',\n}"),
    ]);
    assert!(start(&commented).contains("next start"));
}

#[test]
fn a_single_page_application_is_built_and_served_by_caddy() {
    let vite =
        r#"{"scripts":{"dev":"vite","build":"vite build","preview":"vite preview"},"devDependencies":{"vite":"7"}}"#;
    let plan = plan(&[package(vite), LOCK, ("index.html", ""), ("src/main.js", "")]);
    assert_eq!(
        (plan.provider.as_str(), plan.framework.as_deref(), plan.port),
        ("node", Some("Vite"), None)
    );
    assert!(
        plan.dockerfile
            .contains("try_files {path} {path}.html {path}/ /index.html"),
        "{}",
        plan.dockerfile
    );
    assert!(plan.dockerfile.contains(":{$PORT:80} {"));
    assert!(
        plan.dockerfile
            .contains("COPY --from=build --chown=10001:10001 /app/dist/ ./")
    );
    assert_eq!(cmd(&plan)[0], "caddy");
    assert_eq!(plan.base_images, ["node:24-slim", "caddy:2"]);
}

#[test]
fn where_the_files_are_follows_the_tool() {
    let folder = |json: &str, files: &[(&str, &str)]| {
        let mut all = vec![("package.json", json), LOCK];
        all.extend(files);
        let plan = plan(&all);
        let line = plan
            .dockerfile
            .lines()
            .find(|line| line.starts_with("COPY --from=build"))
            .unwrap_or_default()
            .to_owned();
        line.trim_start_matches("COPY --from=build --chown=10001:10001 /app/")
            .trim_end_matches("/ ./")
            .to_owned()
    };
    let vite = r#"{"scripts":{"build":"vite build"},"devDependencies":{"vite":"7"}}"#;
    assert_eq!(
        folder(
            vite,
            &[("vite.config.ts", "export default { build: { outDir: './www/' } }")]
        ),
        "www"
    );
    assert_eq!(
        folder(
            vite,
            &[("vite.config.ts", "export default { build: { outDir: '../evil' } }")]
        ),
        "dist"
    );
    assert_eq!(
        folder(
            r#"{"scripts":{"build":"run-p type-check \"build-only {@}\"","build-only":"vite build"},"devDependencies":{"vite":"7","vue":"3"}}"#,
            &[]
        ),
        "dist"
    );
    assert_eq!(
        folder(
            r#"{"scripts":{"start":"react-scripts start","build":"react-scripts build"},"dependencies":{"react-scripts":"5"}}"#,
            &[]
        ),
        "build"
    );
    assert_eq!(
        folder(
            r#"{"scripts":{"serve":"vue-cli-service serve","build":"vue-cli-service build"},"devDependencies":{"@vue/cli-service":"5"}}"#,
            &[]
        ),
        "dist"
    );
    assert_eq!(
        folder(
            r#"{"scripts":{"build":"astro build","start":"astro dev"},"dependencies":{"astro":"5"}}"#,
            &[]
        ),
        "dist"
    );
    assert_eq!(
        folder(
            r#"{"scripts":{"build":"gatsby build"},"dependencies":{"gatsby":"5"}}"#,
            &[]
        ),
        "public"
    );
    assert_eq!(
        folder(
            r#"{"scripts":{"build":"webpack","start":"webpack serve"},"devDependencies":{"webpack":"5"}}"#,
            &[("src/index.js", "")]
        ),
        "dist"
    );
    let angular = r#"{"scripts":{"start":"ng serve","build":"ng build"},"dependencies":{"@angular/core":"19"}}"#;
    let workspace = r#"{"projects":{"shop":{"projectType":"application","architect":{"build":{"builder":"@angular/build:application","options":{}}}}}}"#;
    assert_eq!(folder(angular, &[("angular.json", workspace)]), "dist/shop/browser");
    let old = workspace
        .replace("@angular/build:application", "@angular-devkit/build-angular:browser")
        .replace("{}}}", r#"{"outputPath":"dist/x"}}}"#);
    assert_eq!(folder(angular, &[("angular.json", &old)]), "dist/x");
}

#[test]
fn a_vite_application_with_a_real_start_script_is_a_server() {
    let json = r#"{"scripts":{"build":"vite build","start":"node server.js"},"dependencies":{"express":"5"},"devDependencies":{"vite":"7"}}"#;
    let plan = plan(&[
        package(json),
        LOCK,
        ("index.html", ""),
        ("server.js", "app.listen(process.env.PORT)"),
    ]);
    assert_eq!(start(&plan), "exec node server.js");
    assert!(!plan.base_images.contains(&"caddy:2".to_owned()));
    assert!(plan.dockerfile.contains("npm run build"));
}

#[test]
fn frameworks_with_a_server_of_their_own_start_it() {
    let started = |json: &str, files: &[(&str, &str)]| {
        let mut all = vec![("package.json", json), LOCK];
        all.extend(files);
        start(&plan(&all))
    };
    assert_eq!(
        started(
            r#"{"scripts":{"build":"nuxt build","preview":"nuxt preview"},"dependencies":{"nuxt":"3"}}"#,
            &[]
        ),
        "exec node .output/server/index.mjs"
    );
    assert_eq!(
        started(
            r#"{"scripts":{"start":"nest start","start:prod":"node dist/main","build":"nest build"},"dependencies":{"@nestjs/core":"11"}}"#,
            &[]
        ),
        "exec node dist/main"
    );
    assert_eq!(
        started(
            r#"{"scripts":{"build":"react-router build","start":"react-router-serve ./build/server/index.js"},"dependencies":{"@react-router/serve":"7"},"devDependencies":{"@react-router/dev":"7"}}"#,
            &[]
        ),
        "exec react-router-serve ./build/server/index.js"
    );
    let kit = r#"{"scripts":{"build":"vite build"},"devDependencies":{"@sveltejs/kit":"2","@sveltejs/adapter-node":"5","vite":"7"}}"#;
    assert_eq!(
        started(
            kit,
            &[("svelte.config.js", "import adapter from '@sveltejs/adapter-node';")]
        ),
        "exec node build"
    );
    let astro = r#"{"scripts":{"build":"astro build"},"dependencies":{"astro":"5","@astrojs/node":"9"}}"#;
    assert_eq!(
        started(astro, &[("astro.config.mjs", "import node from '@astrojs/node';")]),
        "exec node ./dist/server/entry.mjs"
    );
}

#[test]
fn an_adapter_that_cannot_run_here_is_refused_with_what_to_do() {
    let kit =
        r#"{"scripts":{"build":"vite build"},"devDependencies":{"@sveltejs/kit":"2","@sveltejs/adapter-vercel":"5"}}"#;
    let files = [
        package(kit),
        LOCK,
        ("svelte.config.js", "import adapter from '@sveltejs/adapter-vercel';"),
    ];
    let words = refusal(&files);
    assert!(words.contains("adapter-node"), "{words}");
    let forced = Settings {
        start_command: Some("node x".into()),
        ..settings()
    };
    assert!(try_plan(&files, &forced).is_ok());
}

#[test]
fn packages_that_compile_get_compilers_in_the_build_only() {
    let plan = plan(&[
        package(r#"{"dependencies":{"better-sqlite3":"12"}}"#),
        LOCK,
        ("index.js", ""),
    ]);
    assert_eq!(plan.base_images, ["node:24", "node:24-slim"]);
    assert!(
        plan.dockerfile
            .contains("COPY --from=install --chown=10001:10001 /app/node_modules ./node_modules"),
        "{}",
        plan.dockerfile
    );
}

#[test]
fn workspaces_are_copied_whole_and_ask_for_a_start_command() {
    let json = r#"{"workspaces":["packages/*"],"scripts":{"build":"turbo build"}}"#;
    let words = refusal(&[package(json), LOCK, ("packages/api/package.json", "{}")]);
    assert!(words.contains("--workspace"), "{words}");
    let chosen = Settings {
        start_command: Some("npm run start --workspace=api".into()),
        ..settings()
    };
    let plan = try_plan(&[package(json), LOCK], &chosen).unwrap();
    assert!(plan.dockerfile.find("COPY --chown=10001:10001 . .").unwrap() < plan.dockerfile.find("npm ci").unwrap());
    assert_eq!(start(&plan), "exec npm run start --workspace=api");
}

#[test]
fn the_start_command_wins_in_the_order_settings_variables_procfile_package() {
    let files = [
        package(r#"{"scripts":{"start":"node a.js"}}"#),
        ("Procfile", "worker: x\nweb: node proc.js -p 5000\n"),
        ("a.js", ""),
    ];
    let from_procfile = plan(&files);
    assert_eq!(
        (start(&from_procfile), from_procfile.port),
        ("exec node proc.js -p 5000".into(), Some(5000))
    );
    assert!(from_procfile.warnings.iter().any(|warning| warning.contains("worker")));
    let mut settings = with_variables(&[("CLICK_DEPLOY_START_COMMAND", "node variable.js")]);
    assert_eq!(start(&try_plan(&files, &settings).unwrap()), "exec node variable.js");
    settings.start_command = Some("node setting.js".into());
    assert_eq!(start(&try_plan(&files, &settings).unwrap()), "exec node setting.js");
}

#[test]
fn install_and_build_commands_of_the_user_replace_the_detected_ones() {
    let settings = Settings {
        install_command: Some("npm ci --legacy-peer-deps".into()),
        build_command: Some("npm run bundle".into()),
        output_directory: Some("./public/app/".into()),
        ..settings()
    };
    let plan = try_plan(
        &[package(r#"{"scripts":{"build":"x"},"dependencies":{"a":"1"}}"#), LOCK],
        &settings,
    )
    .unwrap();
    assert!(plan.dockerfile.contains("npm ci --legacy-peer-deps"));
    assert!(plan.dockerfile.contains("npm run bundle") && !plan.dockerfile.contains("npm run build"));
    assert!(
        plan.dockerfile
            .contains("COPY --from=build --chown=10001:10001 /app/public/app/ ./")
    );
}

#[test]
fn variables_reach_the_build_as_secrets_and_the_installation_only_where_it_names_them() {
    let settings = with_variables(&[
        ("VITE_API_URL", "https://secret.example"),
        ("NPM_SECRET", "hunter2"),
        ("not a name", "x"),
        ("PATH", "/evil"),
        ("CLICK_DEPLOY_NODE_VERSION", "22"),
    ]);
    let vite = r#"{"scripts":{"build":"vite build"},"devDependencies":{"vite":"7"}}"#;
    let files = [package(vite), LOCK, (".npmrc", "//registry/:_authToken=${NPM_SECRET}")];
    let plan = try_plan(&files, &settings).unwrap();
    let text = &plan.dockerfile;
    assert!(!text.contains("hunter2") && !text.contains("secret.example") && !text.contains("/evil"));
    assert_eq!(text.matches("--mount=type=secret,id=NPM_SECRET").count(), 2, "{text}");
    assert_eq!(text.matches("--mount=type=secret,id=VITE_API_URL").count(), 1);
    assert!(!text.contains("id=PATH") && !text.contains("id=CLICK_DEPLOY_NODE_VERSION"));
    assert!(text.find("ARG CLICK_DEPLOY_VARIABLES_DIGEST").unwrap() > text.find("npm ci").unwrap());
    assert!(plan.warnings.iter().any(|warning| warning.contains("not a name")));
    assert_eq!(plan.base_images, ["node:22-slim", "caddy:2"]);
}

#[test]
fn a_script_that_calls_another_is_followed_and_one_with_companions_is_left_to_npm() {
    let one = |json: &str| start(&plan(&[package(json), ("a.js", "")]));
    assert_eq!(
        one(r#"{"scripts":{"start":"npm run serve","serve":"NODE_OPTIONS=--max-old-space-size=100 node a.js"}}"#),
        "exec env NODE_OPTIONS=--max-old-space-size=100 node a.js"
    );
    assert_eq!(
        one(r#"{"scripts":{"prestart":"x","start":"node a.js"}}"#),
        "exec npm run start"
    );
    assert_eq!(one(r#"{"scripts":{"start":"yarn start"}}"#), "exec yarn start");
    assert_eq!(
        one(r#"{"scripts":{"start":"npm run b","b":"npm run start"}}"#),
        "exec npm run b"
    );
}

#[test]
fn bun_is_in_the_image_that_runs_if_the_start_command_needs_it() {
    let plan = plan(&[
        package(r#"{"dependencies":{"hono":"4"}}"#),
        ("bun.lock", ""),
        ("index.ts", "export default { port: 1 }"),
    ]);
    assert_eq!(start(&plan), "exec bun index.ts");
    assert!(plan.dockerfile.contains("bun@1"));
}

#[test]
fn a_build_without_a_start_is_refused_with_both_ways_out() {
    let words = refusal(&[package(r#"{"scripts":{"build":"make"}}"#)]);
    assert!(
        words.contains("output directory") && words.contains("start command") && words.contains("build"),
        "{words}"
    );
}

#[test]
fn what_the_dockerignore_leaves_out_is_not_copied_by_name() {
    let files = [
        package(r#"{"dependencies":{"x":"1"}}"#),
        LOCK,
        (".npmrc", ""),
        ("index.js", ""),
        (".dockerignore", "package-lock.json\n.npmrc\n"),
    ];
    let plan = plan(&files);
    assert!(plan.dockerfile.contains("COPY package.json ./"), "{}", plan.dockerfile);
    assert!(plan.dockerfile.contains("npm install"));
    assert_eq!(plan.dockerignore, None);
}

#[test]
fn versions_of_tool_managers_are_read_with_their_line() {
    let of = |file: &str, text: &str| {
        let plan = plan(&[("package.json", r#"{"scripts": {"start": "node a.js"}}"#), (file, text)]);
        let (version, because) = fact(&plan, "node version");
        (version.to_owned(), because.to_owned())
    };
    let wanted = |because: &str| ("22".to_owned(), format!("{because} asks for 22.3.0"));
    assert_eq!(
        of(".tool-versions", "# tools\nruby 3.3\nnodejs 22.3.0 20.1.0\n"),
        wanted(".tool-versions:3")
    );
    assert_eq!(
        of("mise.toml", "[tools]\nnode = '22.3.0'\n"),
        wanted("tools.node in mise.toml:2")
    );
    assert_eq!(
        of(".mise.toml", "[tools]\nnode = ['22.3.0', '20']\n"),
        wanted("tools.node in .mise.toml:2")
    );
    assert_eq!(
        of("mise.toml", "[tools.node]\nversion = '22.3.0'\n"),
        wanted("tools.node in mise.toml")
    );
    let refused = refusal(&[
        ("package.json", r#"{"scripts": {"start": "node a.js"}}"#),
        ("mise.toml", "[tools"),
    ]);
    assert!(refused.contains("mise.toml"), "{refused}");
}

#[test]
fn a_version_that_gets_no_fixes_any_more_is_warned_of() {
    let plan = plan(&[(
        "package.json",
        r#"{"scripts": {"start": "node a.js"}, "engines": {"node": "20"}}"#,
    )]);
    let warned = |text: &str| plan.warnings.iter().any(|warning| warning.contains(text));
    assert!(warned("no security fixes since April 2026"), "{:?}", plan.warnings);
}

#[test]
fn what_drives_a_browser_gets_that_of_debian() {
    let of = |json: &str| plan(&[package(json), LOCK, ("a.js", "")]);
    let puppeteer = of(r#"{"scripts":{"start":"node a.js"},"dependencies":{"puppeteer":"24","bcrypt":"5"}}"#);
    let last_stage = puppeteer.dockerfile.rsplit("FROM ").next().unwrap();
    assert!(last_stage.contains("chromium fonts-liberation"), "{last_stage}");
    assert!(last_stage.contains("PUPPETEER_EXECUTABLE_PATH=/usr/bin/chromium"));
    assert!(puppeteer.dockerfile.contains("PUPPETEER_SKIP_DOWNLOAD=true"));
    assert!(fact(&puppeteer, "browser").1.contains("--no-sandbox"));
    let playwright = of(r#"{"scripts":{"start":"node a.js"},"dependencies":{"playwright":"1"}}"#).dockerfile;
    let order = [
        "npm ci",
        "PLAYWRIGHT_BROWSERS_PATH=/opt/playwright",
        "symlinkSync('/usr/bin/chromium', path)",
        "USER",
    ];
    assert!(
        order.map(|part| playwright.find(part).unwrap()).is_sorted(),
        "{playwright}"
    );
    // Tests are not run here, and their browser is not downloaded.
    let tests = of(r#"{"scripts":{"start":"node a.js","build":"x"},"devDependencies":{"puppeteer":"24"}}"#).dockerfile;
    assert!(
        !tests.contains("chromium ") && tests.contains("PUPPETEER_SKIP_DOWNLOAD"),
        "{tests}"
    );
}
