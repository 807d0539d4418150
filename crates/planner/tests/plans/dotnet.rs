//! .NET applications.

use crate::common::{cmd, fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

fn web(framework: &str) -> String {
    format!(
        r#"<Project Sdk="Microsoft.NET.Sdk.Web">
  <PropertyGroup>
    <TargetFramework>{framework}</TargetFramework>
    <RootNamespace>csharp_api</RootNamespace>
  </PropertyGroup>
  <ItemGroup><PackageReference Include="Swashbuckle.AspNetCore" Version="6.4.0" /></ItemGroup>
</Project>"#
    )
}

const CONSOLE: &str = r#"<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework></PropertyGroup></Project>"#;
const LIBRARY: &str = r#"<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup></Project>"#;

#[test]
fn a_web_api_is_published_and_listens_on_the_port() {
    let api = web("net10.0");
    let plan = plan(&[
        ("shop-api.csproj", &api),
        ("Program.cs", ""),
        ("global.json", r#"{"sdk":{"version":"10.0.100"}}"#),
    ]);
    assert_eq!(
        (plan.provider.as_str(), plan.framework.as_deref()),
        ("dotnet", Some("ASP.NET Core"))
    );
    assert_eq!(
        plan.base_images,
        [
            "mcr.microsoft.com/dotnet/sdk:10.0",
            "mcr.microsoft.com/dotnet/aspnet:10.0"
        ]
    );
    let text = &plan.dockerfile;
    assert!(
        text.find("dotnet restore shop-api.csproj").unwrap() < text.find("COPY . .").unwrap(),
        "{text}"
    );
    assert!(
        text.contains(r#"["dotnet","publish","shop-api.csproj","-c","Release","-o","/out""#),
        "{text}"
    );
    assert!(
        text.contains("target=/root/.nuget/packages") && text.contains("\nUSER 1654:1654\n"),
        "{text}"
    );
    let words = cmd(&plan);
    assert!(
        words[2].contains("http://+:$PORT") && words[3] == "shop-api.dll",
        "{words:?}"
    );
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
}

#[test]
fn the_framework_of_the_project_chooses_the_images() {
    let images = |framework: &str| plan(&[("a.csproj", &web(framework))]).base_images;
    assert_eq!(images("net8.0")[1], "mcr.microsoft.com/dotnet/aspnet:8.0");
    assert_eq!(images("net6.0-windows")[1], "mcr.microsoft.com/dotnet/aspnet:6.0");
    assert!(plan(&[("a.csproj", &web("net8.0"))]).warnings[0].contains("no security fixes"));
    let newer = plan(&[
        ("a.csproj", &web("net8.0")),
        ("global.json", r#"{"sdk":{"version":"10.0.100"}}"#),
    ]);
    assert_eq!(newer.base_images[0], "mcr.microsoft.com/dotnet/sdk:10.0");
    let older = plan(&[
        ("a.csproj", &web("net10.0")),
        ("global.json", r#"{"sdk":{"version":"8.0.404"}}"#),
    ]);
    assert_eq!(older.base_images[0], "mcr.microsoft.com/dotnet/sdk:10.0");
    assert!(older.warnings[0].contains("8.0.404"), "{:?}", older.warnings);
    let several = web("x").replace(
        "<TargetFramework>x</TargetFramework>",
        "<TargetFrameworks>net8.0;net10.0</TargetFrameworks>",
    );
    let several = plan(&[("a.csproj", &several)]);
    assert!(
        several.dockerfile.contains(r#""-f","net10.0""#),
        "{}",
        several.dockerfile
    );
    let words = refusal(&[("a.csproj", &web("net48"))]);
    assert!(words.contains("net48") && words.contains("Dockerfile"), "{words}");
    let chosen = with_variables(&[("RAILPACK_DOTNET_VERSION", "9.0")]);
    let plan = try_plan(&[("a.csproj", &web("net8.0"))], &chosen).unwrap();
    assert_eq!(plan.base_images[1], "mcr.microsoft.com/dotnet/aspnet:9.0");
}

#[test]
fn of_a_solution_the_program_is_published() {
    let api = web("net10.0");
    let tests = CONSOLE.replace(
        "</PropertyGroup>",
        "<IsTestProject>true</IsTestProject></PropertyGroup>",
    );
    let files = [
        ("Shop.sln", "Microsoft Visual Studio Solution File"),
        ("src/Shop.Api/Shop.Api.csproj", api.as_str()),
        ("src/Shop.Core/Shop.Core.csproj", LIBRARY),
        ("src/Shop.Cli/Shop.Cli.csproj", CONSOLE),
        ("test/Shop.Tests/Shop.Tests.csproj", tests.as_str()),
        ("Directory.Packages.props", "<Project/>"),
    ];
    let plan = plan(&files);
    assert_eq!(
        fact(&plan, "project"),
        ("src/Shop.Api/Shop.Api.csproj", "the only program for the web")
    );
    let text = &plan.dockerfile;
    assert!(
        text.contains("COPY src/Shop.Core/Shop.Core.csproj ./src/Shop.Core/Shop.Core.csproj"),
        "{text}"
    );
    assert!(text.contains("COPY Directory.Packages.props ./"), "{text}");
    let chosen = with_variables(&[("CLICK_DEPLOY_DOTNET_PROJECT", "src/Shop.Cli")]);
    let cli = try_plan(&files, &chosen).unwrap();
    assert_eq!(cli.base_images[1], "mcr.microsoft.com/dotnet/runtime:10.0");
    let wrong = with_variables(&[("CLICK_DEPLOY_DOTNET_PROJECT", "../x")]);
    assert!(try_plan(&files, &wrong).unwrap_err().to_string().contains("Shop.Cli"));
    let two = refusal(&[("S.sln", ""), ("a/a.csproj", CONSOLE), ("b/b.csproj", CONSOLE)]);
    assert!(two.contains("CLICK_DEPLOY_DOTNET_PROJECT"), "{two}");
    let none = refusal(&[("a.csproj", LIBRARY)]);
    assert!(none.contains("OutputType"), "{none}");
}

#[test]
fn what_users_say_wins() {
    let settings = Settings {
        start_command: Some("dotnet other.dll".to_owned()),
        build_command: Some("dotnet publish -c Release -o /out".to_owned()),
        install_command: Some("dotnet tool restore".to_owned()),
        ..settings()
    };
    let plan = try_plan(&[("a.csproj", CONSOLE)], &settings).unwrap();
    assert!(start(&plan).ends_with("; exec dotnet other.dll"), "{}", start(&plan));
    assert!(plan.dockerfile.contains("dotnet tool restore") && !plan.dockerfile.contains("UseAppHost"));
}

#[test]
fn hostile_projects_are_refused_or_harmless() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"b\">]><Project>&a;</Project>";
    assert!(refusal(&[("a.csproj", bomb)]).contains("a.csproj"));
    assert!(refusal(&[("a.csproj", "<Project")]).contains("cannot be understood"));
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    assert!(refusal(&[("a.csproj", &deep)]).contains("cannot be understood"));
    let named = CONSOLE.replace(
        "</PropertyGroup>",
        "<AssemblyName>x\"; RUN evil</AssemblyName></PropertyGroup>",
    );
    let plan = plan(&[("a.csproj", &named)]);
    assert_eq!(cmd(&plan)[3], "a.dll");
    let _ = try_plan(&[("a b; RUN evil.csproj", CONSOLE)], &settings());
    let _ = try_plan(&[("a\nRUN evil.csproj", CONSOLE)], &settings());
}
