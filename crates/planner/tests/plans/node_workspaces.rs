//! Repositories of several packages of Node.js.

use planner::{Plan, applications};

use crate::common::{app, cmd, fact, plan, refusal, settings, start, try_plan, with_variables};

/// A site and a server that share a package, and one that only checks the others.
const REPOSITORY: &[(&str, &str)] = &[
    (
        "package.json",
        r#"{"private": true, "workspaces": ["apps/*", "packages/*"], "scripts": {"build": "turbo run build"}, "devDependencies": {"turbo": "2"}}"#,
    ),
    (
        "apps/api/package.json",
        r#"{"name": "api", "scripts": {"build": "tsc", "start": "node dist/main.js"}, "dependencies": {"@shop/orders": "*", "express": "5"}, "devDependencies": {"@shop/rules": "*", "typescript": "5"}}"#,
    ),
    ("apps/api/src/main.ts", "app.listen(4000)"),
    (
        "apps/site/package.json",
        r#"{"name": "site", "scripts": {"build": "vite build", "dev": "vite"}, "devDependencies": {"vite": "7", "@shop/orders": "*"}}"#,
    ),
    ("apps/site/index.html", ""),
    (
        "packages/orders/package.json",
        r#"{"name": "@shop/orders", "scripts": {"build": "tsc"}, "dependencies": {"@shop/money": "*"}}"#,
    ),
    (
        "packages/money/package.json",
        r#"{"name": "@shop/money", "scripts": {"build": "tsc"}}"#,
    ),
    ("packages/rules/package.json", r#"{"name": "@shop/rules"}"#),
];

fn of(lock: (&'static str, &'static str), package: &str) -> Plan {
    let mut files = REPOSITORY.to_vec();
    files.push(lock);
    try_plan(&files, &with_variables(&[("CLICK_DEPLOY_NODE_PACKAGE", package)])).expect("a plan")
}

const NPM: (&str, &str) = ("package-lock.json", "{}");

#[test]
fn a_server_gets_what_it_needs_of_the_repository_and_nothing_else() {
    let api = of(NPM, "api");
    let text = &api.dockerfile;
    assert_eq!(
        fact(&api, "package"),
        ("apps/api", "the variable CLICK_DEPLOY_NODE_PACKAGE")
    );
    assert_eq!(fact(&api, "needs").0, "packages/money, packages/orders, packages/rules");
    assert_eq!(
        fact(&api, "start command").1,
        "scripts.start in apps/api/package.json:1"
    );
    assert_eq!((start(&api).as_str(), api.port), ("exec node dist/main.js", Some(4000)));
    let order = [
        "COPY package.json package-lock.json ./",
        "COPY apps/site/package.json ./apps/site/package.json",
        "FROM manifests AS dependencies",
        "npm ci --omit=dev --no-audit --no-fund --no-update-notifier --workspace=apps/api\n",
        "FROM manifests AS build",
        "npm ci --include=dev --no-audit --no-fund --no-update-notifier --workspace=apps/api --include-workspace-root",
        "COPY . .",
        "(cd packages/money && npm run build) && (cd packages/orders && npm run build) && (cd apps/api && npm run build)",
        "--exclude='./apps/site'",
        "COPY --from=dependencies --chown=10001:10001 /app/ ./",
        "COPY --from=build --chown=10001:10001 /out/ ./",
        "WORKDIR /app/apps/api",
    ]
    .map(|part| text.find(part).unwrap_or_else(|| panic!("no {part} in\n{text}")));
    assert!(order.is_sorted(), "{text}");
    assert!(text.contains("--exclude='./packages/rules'"), "only built with: {text}");
    let ignored = api.dockerignore.unwrap();
    assert!(
        ignored.starts_with("apps/site/*\n!apps/site/package.json\n.git\n"),
        "{ignored}"
    );
}

#[test]
fn a_site_is_built_with_what_it_needs_and_only_its_files_are_served() {
    let site = of(NPM, "apps/site");
    assert!(
        site.dockerfile
            .contains("COPY --from=build --chown=10001:10001 /app/apps/site/dist/ ./"),
        "{}",
        site.dockerfile
    );
    assert!(!site.dockerfile.contains("AS dependencies"));
    assert_eq!(cmd(&site)[0], "caddy");
    assert!(site.dockerignore.unwrap().contains("apps/api/*\n"));
}

#[test]
fn each_package_manager_installs_one_package_and_what_it_needs() {
    let pnpm = of(("pnpm-lock.yaml", "lockfileVersion: '9.0'\n"), "api").dockerfile;
    assert!(
        pnpm.contains("pnpm install --frozen-lockfile --prod --filter-prod '{apps/api}...'"),
        "{pnpm}"
    );
    assert!(pnpm.contains("pnpm install --frozen-lockfile --prod=false --filter '{apps/api}...'"));
    let berry = of(("yarn.lock", "__metadata:\n  version: 8\n"), "api").dockerfile;
    assert!(berry.contains("yarn workspaces focus api --production"), "{berry}");
    let classic = of(("yarn.lock", "# yarn lockfile v1\n"), "api").dockerfile;
    assert!(
        !classic.contains("COPY apps/site/package.json"),
        "Yarn 1 installs what it sees: {classic}"
    );
    assert!(
        classic.contains("rm -r packages/rules && for folder in apps/api ."),
        "{classic}"
    );
    let bun = of(("bun.lock", "{}"), "api").dockerfile;
    assert!(
        bun.contains("--production --filter ./packages/money --filter ./packages/orders --filter ./apps/api"),
        "{bun}"
    );
}

#[test]
fn turborepo_and_nx_build_by_their_own_graph() {
    let turbo = |package_json: &'static str| {
        let mut files = REPOSITORY.to_vec();
        files[0].1 = package_json;
        files.extend([
            NPM,
            (
                "turbo.json",
                "{\n // ours\n \"tasks\": {\"build\": {\"dependsOn\": [\"^build\"]}}}",
            ),
        ]);
        try_plan(&files, &with_variables(&[("RAILPACK_NX_APP", "api")]))
            .unwrap()
            .dockerfile
    };
    let text = turbo(
        r#"{"packageManager": "npm@10.9.2", "workspaces": ["apps/*", "packages/*"], "devDependencies": {"turbo": "2"}}"#,
    );
    assert!(text.contains("turbo run build --filter=./apps/api"), "{text}");
    // Without `packageManager` Turborepo refuses.
    let text = turbo(r#"{"workspaces": {"packages": ["apps/*", "packages/*"]}, "devDependencies": {"turbo": "2"}}"#);
    assert!(text.contains("(cd apps/api && npm run build)"), "{text}");
    let mut files = REPOSITORY.to_vec();
    files[0].1 = r#"{"workspaces": ["apps/*", "packages/*"], "devDependencies": {"nx": "23"}}"#;
    files.extend([
        NPM,
        ("nx.json", "{}"),
        ("apps/api/project.json", r#"{"name": "shop-api"}"#),
    ]);
    let nx = try_plan(&files, &with_variables(&[("CLICK_DEPLOY_NODE_PACKAGE", "api")]))
        .unwrap()
        .dockerfile;
    assert!(
        nx.contains("nx run shop-api:build") && nx.contains("NX_DAEMON=false"),
        "{nx}"
    );
}

#[test]
fn the_only_application_is_chosen_and_of_several_none() {
    let words = refusal(&[REPOSITORY, &[NPM]].concat());
    for part in [
        "2 packages",
        "apps/api, apps/site",
        "CLICK_DEPLOY_NODE_PACKAGE",
        "packages.node in click-deploy.toml",
    ] {
        assert!(words.contains(part), "{words}");
    }
    let one: Vec<_> = REPOSITORY
        .iter()
        .copied()
        .filter(|(path, _)| !path.starts_with("apps/site"))
        .collect();
    let alone = plan(&one);
    assert_eq!(
        fact(&alone, "package"),
        ("apps/api", "of 4 packages the only one that can be started or served")
    );
    let chosen = [
        REPOSITORY,
        &[("click-deploy.toml", "[packages]\nnode = \"apps/site\"\n")],
    ]
    .concat();
    assert_eq!(
        fact(&plan(&chosen), "package").1,
        "packages.node in click-deploy.toml:2"
    );
    // A root that has its own start is what is started.
    let root = r#"{"workspaces": ["apps/*", "packages/*"], "scripts": {"start": "node server.js"}}"#;
    let own = [&[("package.json", root)], &REPOSITORY[1..]].concat();
    assert_eq!(start(&plan(&own)), "exec node server.js");
}

#[test]
fn a_choice_that_means_no_package_or_several_is_refused() {
    let refused = |package: &str| {
        let files = [
            REPOSITORY,
            &[("apps/orders/package.json", r#"{"name": "@other/orders"}"#)],
        ]
        .concat();
        let settings = with_variables(&[("CLICK_DEPLOY_NODE_PACKAGE", package)]);
        try_plan(&files, &settings).expect_err("a refusal").to_string()
    };
    let words = refused("shop");
    assert!(
        words.contains("there is no package \"shop\"") && words.contains("packages/money (@shop/money)"),
        "{words}"
    );
    let words = refused("orders");
    assert!(words.contains("apps/orders, packages/orders"), "{words}");
    let words = try_plan(
        &[("package.json", "{}")],
        &with_variables(&[("CLICK_DEPLOY_NODE_PACKAGE", "x")]),
    );
    assert!(
        words
            .expect_err("a refusal")
            .to_string()
            .contains("names other packages")
    );
}

#[test]
fn development_dependencies_stay_where_what_runs_needs_them() {
    let kept = |package: &str| {
        let files = [
            ("package.json", r#"{"workspaces": ["a"]}"#),
            NPM,
            ("a/package.json", package),
            ("a/pages/index.js", ""),
        ];
        let files = [
            files.as_slice(),
            &[("a/next.config.js", "module.exports = require('next-mdx')({})\n")],
        ]
        .concat();
        let plan = plan(&files);
        assert_eq!(
            plan.dockerfile.contains("--exclude='node_modules'"),
            plan.dockerfile.contains("AS dependencies")
        );
        (!plan.dockerfile.contains("AS dependencies")).then(|| fact(&plan, "development dependencies").1.to_owned())
    };
    assert_eq!(kept(r#"{"scripts": {"start": "node x.js", "prepare": "husky"}}"#), None);
    assert!(kept(r#"{"scripts": {"start": "tsx x.ts"}, "devDependencies": {"tsx": "4"}}"#).is_some());
    assert!(kept(r#"{"scripts": {"start": "node x.js", "postinstall": "patch-package"}}"#).is_some());
    assert!(kept(r#"{"scripts": {"start": "node x.js"}, "dependencies": {"@prisma/client": "6"}}"#).is_some());
    let next = kept(
        r#"{"scripts": {"build": "next build"}, "dependencies": {"next": "16"}, "devDependencies": {"next-mdx": "1"}}"#,
    );
    assert_eq!(
        next.as_deref(),
        Some("Next.js loads next-mdx when it starts, by next.config")
    );
    let above = plan(&[
        (
            "package.json",
            r#"{"workspaces": ["a"], "devDependencies": {"@nx/next": "23"}}"#,
        ),
        ("a/package.json", r#"{"dependencies": {"next": "16"}}"#),
        ("a/app/page.tsx", ""),
        (
            "a/next.config.js",
            "const { withNx } = require('@nx/next/plugins/with-nx')\n",
        ),
    ]);
    assert!(fact(&above, "development dependencies").1.contains("@nx/next"));
}

#[test]
fn outputs_that_hold_all_they_need_are_all_that_is_kept() {
    let text = |package: &str, files: &[(&str, &str)]| {
        let all = [
            ("package.json", r#"{"workspaces": ["web"]}"#),
            NPM,
            ("web/package.json", package),
        ];
        let plan = plan(&[all.as_slice(), files].concat());
        assert!(!plan.dockerfile.contains("AS dependencies"), "{}", plan.dockerfile);
        plan.dockerfile
    };
    let nuxt = text(
        r#"{"scripts": {"build": "nuxt build"}, "dependencies": {"nuxt": "4"}}"#,
        &[],
    );
    assert!(nuxt.contains("/app/web/.output ./web/.output"), "{nuxt}");
    let next = text(
        r#"{"scripts": {"build": "next build"}, "dependencies": {"next": "16"}}"#,
        &[
            ("web/app/page.tsx", ""),
            ("web/next.config.mjs", "export default { output: 'standalone' }\n"),
        ],
    );
    assert!(next.contains("if [ -f web/.next/standalone/web/server.js ]"), "{next}");
}

#[test]
fn a_package_without_the_repository_that_it_needs_is_refused() {
    for version in ["workspace:*", "catalog:", "link:../ui"] {
        let json = format!(
            "{{\n\"name\": \"web\", \"scripts\": {{\"start\": \"node x.js\"}},\n\"dependencies\": {{\"@shop/ui\": \"{version}\"}}}}"
        );
        let words = refusal(&[("package.json", &json)]);
        for part in [
            "dependencies.@shop/ui in package.json:3",
            version,
            "CLICK_DEPLOY_NODE_PACKAGE: web",
        ] {
            assert!(words.contains(part), "{words}");
        }
        let mut told = settings();
        told.install_command = Some("npm install express".to_owned());
        assert!(try_plan(&[("package.json", &json)], &told).is_ok());
    }
}

#[test]
fn packages_are_listed_with_how_they_are_chosen() {
    let inside: Vec<(String, &str)> = REPOSITORY
        .iter()
        .map(|(path, text)| (format!("shop/{path}"), *text))
        .collect();
    let inside: Vec<(&str, &str)> = inside.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    for (files, root, prefix) in [(REPOSITORY.to_vec(), "", ""), (inside, "shop", "shop/")] {
        let found = applications(app(&files).path()).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.path.clone(), one.root_directory.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                (format!("{prefix}apps/api"), root),
                (format!("{prefix}apps/site"), root)
            ]
        );
        assert_eq!(found[1].variables["CLICK_DEPLOY_NODE_PACKAGE"], "apps/site");
        assert_eq!(found[1].framework.as_deref(), Some("Vite"));
    }
}

#[test]
fn hostile_folders_and_names_reach_no_command() {
    let files = [
        ("package.json", r#"{"workspaces": ["*"]}"#),
        ("yarn.lock", "__metadata:\n"),
        ("a b$(x)/package.json", r#"{"scripts": {"start": "node x.js"}}"#),
        (
            "web/package.json",
            r#"{"name": "x; evil", "scripts": {"start": "node x.js"}, "dependencies": {"$(evil)": "*"}}"#,
        ),
    ];
    let plan = plan(&files);
    assert!(plan.dockerfile.contains("COPY web/package.json"), "{}", plan.dockerfile);
    assert!(
        !plan.dockerfile.contains("evil") && !plan.dockerfile.contains("$(x)"),
        "{}",
        plan.dockerfile
    );
}

#[test]
fn a_root_that_only_starts_a_package_means_that_package() {
    let chosen = |scripts: &str| {
        let root = format!(r#"{{"workspaces": ["apps/*", "packages/*"], "scripts": {{{scripts}}}}}"#);
        let files = [&[("package.json", root.as_str()), NPM], &REPOSITORY[1..]].concat();
        let plan = plan(&files);
        let found = plan.facts.iter().find(|fact| fact.name == "package");
        found.map(|fact| (fact.value.clone(), fact.because.clone()))
    };
    for start in [
        "cd apps/api && npm start",
        "cd ./apps/api && yarn run start",
        "npm run start --workspace=api",
        "npm start -w apps/api",
        "pnpm --filter api start",
        "yarn workspace api start",
        "bun run --filter=api start",
        "turbo run start --filter=api",
        "npm --prefix apps/api start",
    ] {
        let (folder, because) = chosen(&format!(r#""build": "turbo build", "start": "{start}""#)).expect(start);
        assert_eq!(folder, "apps/api", "{start}");
        assert!(because.starts_with("scripts.start in package.json:1"), "{because}");
    }
    for other in [
        "npm start --workspace=api && echo x",
        "npm start --workspaces",
        "turbo run start",
        "cd apps/api && node dist/main.js",
        "pnpm --filter api --filter site start",
        "pnpm --filter site start",
    ] {
        assert_eq!(chosen(&format!(r#""start": "{other}""#)), None, "{other}");
    }
    assert_eq!(chosen(r#""build": "node make.js", "start": "npm start -w api""#), None);
}

#[test]
fn of_several_projects_of_angular_one_is_chosen() {
    let project = r#"{"projectType": "application", "architect": {"build": {"builder": "@angular/build:application", "options": {}}}}"#;
    let workspace = format!(r#"{{"projects": {{"shop": {project}, "admin": {project}}}}}"#);
    let files = [
        (
            "package.json",
            r#"{"scripts": {"start": "ng serve", "build": "ng build"}, "dependencies": {"@angular/core": "21"}}"#,
        ),
        NPM,
        ("angular.json", workspace.as_str()),
    ];
    let chosen = |name: &str| try_plan(&files, &with_variables(&[("RAILPACK_ANGULAR_PROJECT", name)]));
    let admin = chosen("admin").unwrap().dockerfile;
    assert!(
        admin.contains("ng build admin") && admin.contains("/app/dist/admin/browser/ ./"),
        "{admin}"
    );
    assert!(
        chosen("other")
            .expect_err("a refusal")
            .to_string()
            .contains("no project \"other\" in angular.json")
    );
}

#[test]
fn install_scripts_see_the_source_where_the_package_is_built_only() {
    let root = r#"{"workspaces": ["apps/*", "packages/*"], "scripts": {"postinstall": "nuxt prepare"}}"#;
    let files = [&[("package.json", root), NPM], &REPOSITORY[1..]].concat();
    let plan = try_plan(&files, &with_variables(&[("CLICK_DEPLOY_NODE_PACKAGE", "api")])).unwrap();
    let text = plan.dockerfile;
    let order = [
        "COPY apps/api/package.json",
        "AS dependencies",
        "npm pkg delete scripts --prefix $folder",
        "AS build",
        "COPY . .",
        "npm ci --include=dev",
    ];
    assert!(order.map(|part| text.find(part).unwrap()).is_sorted(), "{text}");
    assert_eq!(text.matches("COPY . .").count(), 1, "{text}");
}

#[test]
fn packages_of_the_repository_that_are_development_dependencies_stay_with_those() {
    let api = r#"{"scripts": {"start": "tsx src/main.ts"}, "devDependencies": {"tsx": "4", "@shop/rules": "*"}}"#;
    let files = [REPOSITORY, &[("apps/api/package.json", api)]].concat();
    let plan = try_plan(&files, &with_variables(&[("CLICK_DEPLOY_NODE_PACKAGE", "apps/api")])).unwrap();
    assert!(
        !plan.dockerfile.contains("--exclude='./packages/rules'"),
        "{}",
        plan.dockerfile
    );
    assert!(plan.dockerfile.contains("--exclude='./packages/money'"));
}
