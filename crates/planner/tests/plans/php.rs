//! PHP applications.

use crate::common::{fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const INDEX: (&str, &str) = ("index.php", "<?php echo 'hello';");

#[test]
fn a_lone_index_is_served_by_apache_as_nobody_in_particular() {
    let plan = plan(&[INDEX, ("about.php", "<?php new mysqli('db');")]);
    assert_eq!((plan.provider.as_str(), plan.port), ("php", None));
    assert_eq!(plan.base_images, ["php:8.4-apache"]);
    assert_eq!(start(&plan), "exec apache2-foreground");
    let text = &plan.dockerfile;
    assert!(
        text.contains("'Listen ${PORT}'") && text.contains("ENV PORT=8080"),
        "{text}"
    );
    assert!(
        text.contains("DocumentRoot /app'") && !text.contains("FallbackResource"),
        "{text}"
    );
    assert!(text.contains("\nUSER 33:33\n"), "{text}");
    // Frameworks look for the container's variables there.
    assert!(text.contains("'<?php $_SERVER += getenv();'"), "{text}");
    assert!(
        text.contains("docker-php-ext-install -j\"$(nproc)\" mysqli opcache"),
        "{text}"
    );
    assert_eq!(fact(&plan, "php version"), ("8.4", "nothing asks for another"));
}

#[test]
fn the_version_is_what_the_files_ask_for() {
    let version = |composer: &str| {
        let plan = plan(&[INDEX, ("composer.json", composer)]);
        let (version, because) = fact(&plan, "php version");
        (version.to_owned(), because.to_owned(), plan.warnings.join(" "))
    };
    let of = |require: &str| version(&format!(r#"{{"require":{{"php":"{require}"}}}}"#)).0;
    for (require, expected) in [
        ("^8.2", "8.4"),
        (">=8.1", "8.4"),
        ("~8.3.0", "8.3"),
        ("8.3.*", "8.3"),
        ("^8.5", "8.5"),
        ("~8.2", "8.4"),
        ("^7.4|^8.0", "8.4"),
        ("7.4.*", "7.4"),
    ] {
        assert_eq!(of(require), expected, "{require}");
    }
    let pretended = version(r#"{"require":{"php":"^8.2"},"config":{"platform":{"php":"8.3.7"}}}"#);
    assert_eq!(pretended.0, "8.3");
    assert!(pretended.1.contains("config.platform.php in composer.json"));
    let old = version(r#"{"require":{"php":"~8.1.0"}}"#);
    assert!(old.0 == "8.1" && old.2.contains("no security fixes"), "{old:?}");
    let missing = version(r#"{"require":{"php":"^9.1"}}"#);
    assert!(missing.2.contains("no base image"), "{missing:?}");

    let chosen = with_variables(&[("RAILPACK_PHP_VERSION", "8.3")]);
    let files = [INDEX, (".php-version", "8.2\n")];
    assert_eq!(fact(&plan(&files), "php version").0, "8.2");
    assert_eq!(try_plan(&files, &chosen).unwrap().base_images, ["php:8.3-apache"]);
}

const LARAVEL: (&str, &str) = (
    "composer.json",
    r#"{"require":{"php":"^8.2","laravel/framework":"^12.0","ext-gd":"*"},
        "scripts":{"post-autoload-dump":["@php artisan package:discover --ansi"]}}"#,
);
const LARAVEL_LOCK: (&str, &str) = (
    "composer.lock",
    r#"{"packages":[{"name":"laravel/framework","require":{"ext-mbstring":"*","ext-fileinfo":"*"}},
        {"name":"phpoffice/phpspreadsheet","require":{"ext-zip":"*"}}],"packages-dev":[{"name":"x/y","require":{"ext-xdebug":"*"}}],
        "platform":{"php":"^8.2"}}"#,
);

#[test]
fn laravel_is_cached_when_it_starts_and_writes_where_it_must() {
    let files = [
        LARAVEL,
        LARAVEL_LOCK,
        ("artisan", "#!/usr/bin/env php"),
        ("public/index.php", ""),
    ];
    let plan = try_plan(&files, &with_variables(&[("APP_KEY", "base64:hunter2")])).unwrap();
    assert_eq!(plan.framework.as_deref(), Some("Laravel"));
    assert_eq!(plan.base_images, ["php:8.4-apache", "composer:2"]);
    assert_eq!(start(&plan), "php artisan optimize && exec apache2-foreground");
    let text = &plan.dockerfile;
    let lock = text.find("COPY composer.json composer.lock ./").unwrap();
    let install = text.find("--no-autoloader --no-scripts").unwrap();
    let source = text.find("COPY . .").unwrap();
    let autoloader = text.find("--optimize-autoloader").unwrap();
    assert!(lock < install && install < source && source < autoloader, "{text}");
    assert!(text.contains("--mount=type=cache,id=k1-composer,target=/var/cache/composer"));
    assert!(text.contains("--mount=type=bind,from=composer:2,source=/usr/bin/composer"));
    assert!(text.contains("chown -R 33:33 bootstrap/cache storage"), "{text}");
    assert!(text.contains("DocumentRoot /app/public") && text.contains("FallbackResource /index.php"));
    assert!(text.contains("--mount=type=secret,id=APP_KEY") && !text.contains("hunter2"));
    assert!(text.contains("docker-php-ext-configure gd --with-freetype"));
    assert!(text.contains(" zip \\\n"), "{text}");
    assert!(
        text.contains("pecl install redis") && !text.contains("xdebug"),
        "{text}"
    );
    let migrations = fact(&plan, "migrations");
    assert!(
        migrations.0 == "not run" && migrations.1.contains("release"),
        "{migrations:?}"
    );
    assert!(!text.contains("migrate"));
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);

    let without_key = try_plan(&files, &settings()).unwrap();
    assert!(
        without_key.warnings[0].contains("APP_KEY"),
        "{:?}",
        without_key.warnings
    );
}

#[test]
fn a_front_end_is_built_with_node_beside_composer() {
    let files = [
        LARAVEL,
        LARAVEL_LOCK,
        ("artisan", ""),
        ("public/index.php", ""),
        (
            "package.json",
            r#"{"scripts":{"build":"vite build"},"devDependencies":{"vite":"7"}}"#,
        ),
        ("package-lock.json", "{}"),
    ];
    let plan = plan(&files);
    assert_eq!(plan.base_images, ["php:8.4-apache", "composer:2", "node:24-slim"]);
    let text = &plan.dockerfile;
    assert!(
        text.contains("npm ci --include=dev") && text.contains("npm run build"),
        "{text}"
    );
    assert!(text.contains("COPY --from=assets /out/public/ ./public/"), "{text}");
    assert!(text.contains("COPY --from=build /app/vendor ./vendor"), "{text}");
    assert_eq!(
        fact(&plan, "front end"),
        ("npm run build", "scripts.build in package.json:1")
    );

    let own = Settings {
        build_command: Some("npm run prod && npm run ssr".to_owned()),
        ..settings()
    };
    let text = try_plan(&files, &own).unwrap().dockerfile;
    assert!(
        text.contains("npm run prod && npm run ssr") && !text.contains("npm run build"),
        "{text}"
    );
    let of_php = Settings {
        build_command: Some("php artisan ziggy:generate".to_owned()),
        ..settings()
    };
    let text = try_plan(&files, &of_php).unwrap().dockerfile;
    assert!(
        text.contains("ziggy:generate") && text.contains("npm run build"),
        "{text}"
    );
}

#[test]
fn symfony_runs_for_production() {
    let plan = plan(&[
        (
            "composer.json",
            r#"{"require":{"symfony/framework-bundle":"7.*","doctrine/doctrine-bundle":"2","doctrine/doctrine-migrations-bundle":"3"}}"#,
        ),
        ("bin/console", ""),
        ("public/index.php", ""),
    ]);
    assert_eq!(plan.framework.as_deref(), Some("Symfony"));
    let text = &plan.dockerfile;
    assert!(
        text.contains("APP_ENV=prod APP_DEBUG=0") && text.contains("chown -R 33:33 var"),
        "{text}"
    );
    assert!(text.contains("libicu-dev libpq-dev"), "{text}");
    assert!(fact(&plan, "migrations").1.contains("doctrine:migrations:migrate"));
    assert!(plan.warnings[0].contains("composer.lock"), "{:?}", plan.warnings);
}

#[test]
fn local_and_vendored_packages_are_there_before_composer_needs_them() {
    let local = plan(&[
        INDEX,
        (
            "composer.json",
            r#"{"repositories":[{"type":"path","url":"packages/*"}],"require":{"acme/greeter":"*"}}"#,
        ),
        ("composer.lock", r#"{"packages":[{"name":"acme/greeter"}]}"#),
    ]);
    assert!(!local.dockerfile.contains("--no-autoloader"), "{}", local.dockerfile);
    let vendored = plan(&[
        INDEX,
        ("composer.json", r#"{"require":{"acme/greeter":"*"}}"#),
        ("composer.lock", r#"{"packages":[{"name":"acme/greeter"}]}"#),
        ("vendor/composer/installed.json", "{}"),
    ]);
    let text = vendored.dockerfile;
    assert!(
        text.find("COPY vendor ./vendor") < text.find("--no-autoloader"),
        "{text}"
    );
}

#[test]
fn what_users_say_wins() {
    let procfile = plan(&[
        INDEX,
        ("public/x.php", ""),
        ("Procfile", "web: vendor/bin/heroku-php-apache2 public/\n"),
    ]);
    assert!(procfile.dockerfile.contains("DocumentRoot /app/public'"));
    assert_eq!(start(&procfile), "exec apache2-foreground");
    let own = plan(&[INDEX, ("Procfile", "web: php -S 0.0.0.0:$PORT\n")]);
    assert_eq!(start(&own), "exec php -S 0.0.0.0:$PORT");
    let root = with_variables(&[
        ("RAILPACK_PHP_ROOT_DIR", "/app/site"),
        ("RAILPACK_PHP_EXTENSIONS", "gmp,redis"),
    ]);
    let plan = try_plan(&[INDEX], &root).unwrap();
    assert!(
        plan.dockerfile.contains("DocumentRoot /app/site"),
        "{}",
        plan.dockerfile
    );
    assert!(plan.dockerfile.contains("libgmp-dev") && plan.dockerfile.contains("pecl install redis"));
    for bad in ["../x", "/etc", "/app/../x", "a b"] {
        assert!(
            try_plan(&[INDEX], &with_variables(&[("CLICK_DEPLOY_PHP_ROOT", bad)])).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn a_program_without_pages_needs_a_start_command() {
    let files = [("composer.json", "{}"), ("tool.php", "<?php")];
    let words = refusal(&files);
    assert!(words.contains("public") && words.contains("tool.php"), "{words}");
    let settings = Settings {
        start_command: Some("php tool.php".to_owned()),
        ..settings()
    };
    let plan = try_plan(&files, &settings).unwrap();
    assert_eq!(plan.base_images, ["php:8.4-cli", "composer:2"]);
    assert_eq!(start(&plan), "exec php tool.php");
    assert!(refusal(&[("composer.json", "[]")]).contains("JSON object"));
    assert!(refusal(&[INDEX, ("composer.json", "{"), ("composer.lock", "")]).contains("composer.json"));
}

#[test]
fn unknown_extensions_are_told_and_never_written() {
    let plan = plan(&[
        INDEX,
        (
            "composer.json",
            r#"{"require":{"ext-sqlsrv":"*","ext-x; RUN evil":"*","ext-gd":"*"}}"#,
        ),
    ]);
    assert!(
        plan.warnings.iter().any(|warning| warning.contains("sqlsrv")),
        "{:?}",
        plan.warnings
    );
    assert!(!plan.dockerfile.contains("evil") && !plan.dockerfile.contains("sqlsrv"));
}

#[test]
fn what_users_of_cloud_foundry_write_counts() {
    let planned = plan(&[
        ("site/index.php", ""),
        (
            ".bp-config/options.json",
            "{\n\"PHP_VERSION\": \"{PHP_83_LATEST}\",\n\"WEBDIR\": \"site\", \"PHP_EXTENSIONS\": [\"gmp\", \"curl\"], \"LIBDIR\": \"x\"}",
        ),
        (
            ".bp-config/php/php.ini.d/a.ini",
            "extension=bz2.so\ninclude_path = \"@{HOME}/lib\"\n",
        ),
        ("site/.user.ini", "memory_limit = 1G\n"),
    ]);
    assert_eq!(planned.provider, "php");
    assert_eq!(
        fact(&planned, "php version"),
        ("8.3", "PHP_VERSION in .bp-config/options.json:2 asks for 8.3")
    );
    assert_eq!(fact(&planned, "document root").0, "site");
    assert_eq!(fact(&planned, "extensions").0, "bz2, gmp, opcache");
    let text = &planned.dockerfile;
    assert!(
        text.contains(".bp-config/php/php.ini.d/a.ini site/.user.ini >\"$PHP_INI_DIR/conf.d/zz-app.ini\""),
        "{text}"
    );
    assert!(planned.warnings.iter().any(|warning| warning.contains("LIBDIR")));
    assert!(refusal(&[(".bp-config/options.json", "[]"), ("index.php", "")]).contains("options.json"));
    assert!(refusal(&[(".bp-config/options.json", r#"{"WEBDIR": "../x"}"#), ("index.php", "")]).contains("WEBDIR"));
}

#[test]
fn a_program_of_php_alone_is_started() {
    let none = r#"{"WEB_SERVER": "none", "APP_START_CMD": "work/er.php"}"#;
    let named = plan(&[("work/er.php", ""), (".bp-config/options.json", none)]);
    assert_eq!(start(&named), "exec php work/er.php");
    assert_eq!(named.base_images, ["php:8.4-cli"]);
    let found = plan(&[
        ("app.php", ""),
        (".bp-config/options.json", r#"{"WEB_SERVER": "none"}"#),
    ]);
    assert_eq!(start(&found), "exec php app.php");
    assert_eq!(start(&plan(&[("worker.php", "")])), "exec php worker.php");
    assert_eq!(fact(&plan(&[("htdocs/index.php", "")]), "document root").0, "htdocs");
}

#[test]
fn packages_of_the_build_are_not_in_the_image_that_runs() {
    let asked = with_variables(&[
        ("CLICK_DEPLOY_BUILD_APT_PACKAGES", "make"),
        ("CLICK_DEPLOY_APT_PACKAGES", "ffmpeg"),
    ]);
    let planned = try_plan(&[("index.php", ""), ("composer.json", "{}")], &asked).unwrap();
    let stages: Vec<&str> = planned.dockerfile.split("FROM ").skip(1).collect();
    let has = |stage: usize, package: &str| stages[stage].contains(&format!("recommends {package} "));
    assert_eq!(stages.len(), 3, "{}", planned.dockerfile);
    assert!(has(0, "ffmpeg") && has(1, "make"), "{}", planned.dockerfile);
    assert!(
        !has(0, "make") && !has(2, "make") && !has(2, "ffmpeg"),
        "{}",
        planned.dockerfile
    );
}
