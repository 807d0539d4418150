//! What serves a Ruby application.

use crate::{
    Refusal,
    command::Command,
    ruby::gemfile::Gems,
    survey::Survey,
    tree::{Tree, shown},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framework {
    Rails,
    /// An application behind `config.ru`.
    Rack(&'static str),
    /// Files that a generator writes.
    Jekyll,
    None,
}

/// What the build makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Process(Command),
    /// Files, and the command that writes them if it is ours.
    Files {
        folder: String,
        build: Option<&'static str>,
    },
}

/// Programs that are run as they are.
const SCRIPTS: &[&str] = &["app.rb", "main.rb", "server.rb", "bot.rb", "run.rb"];

impl Framework {
    pub(super) fn detect(tree: &Tree, gems: &Gems) -> Self {
        let is_rails = tree.head("config/application.rb").contains("Rails::Application");
        if is_rails || (gems.has("rails") && tree.has_file("bin/rails")) {
            return Self::Rails;
        }
        if (gems.has("jekyll") || gems.has("github-pages")) && tree.has_file("_config.yml") {
            return Self::Jekyll;
        }
        let known = [
            ("hanami", "Hanami"),
            ("sinatra", "Sinatra"),
            ("roda", "Roda"),
            ("grape", "Grape"),
            ("padrino", "Padrino"),
        ];
        let named = known.iter().find(|(gem, _)| gems.has(gem)).map(|(_, name)| *name);
        match named {
            Some(name) => Self::Rack(name),
            None if tree.has_file("config.ru") => Self::Rack("Rack"),
            None => Self::None,
        }
    }

    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Rails => Some("Rails"),
            Self::Rack(name) => Some(name),
            Self::Jekyll => Some("Jekyll"),
            Self::None => None,
        }
    }

    pub(super) fn because(self) -> &'static str {
        match self {
            Self::Rails => "config/application.rb",
            Self::Rack("Rack") => "config.ru",
            _ => "Gemfile.lock or Gemfile",
        }
    }
}

pub(super) fn choose(survey: &mut Survey<'_>, gems: &Gems, framework: Framework) -> Result<Shape, Refusal> {
    if let Some(start) = survey.start_override()? {
        return Ok(Shape::Process(start));
    }
    if let Some(folder) = survey.output_override()? {
        let build = (framework == Framework::Jekyll).then_some(JEKYLL);
        return Ok(Shape::Files { folder, build });
    }
    if framework == Framework::Jekyll {
        survey.fact("served folder", "_site", "Jekyll writes it");
        let folder = "_site".to_owned();
        return Ok(Shape::Files {
            folder,
            build: Some(JEKYLL),
        });
    }
    let has_rack = survey.tree.has_file("config.ru");
    let (text, because) = match server(gems) {
        Some(server) if has_rack => server,
        _ if framework == Framework::Rails => (
            "bundle exec rails server -b 0.0.0.0 -p ${PORT:-3000} -P /dev/null",
            "Rails, with the server that it finds",
        ),
        _ if has_rack => return Err(no_server()),
        _ => return script(survey, gems, framework),
    };
    survey.fact("start command", text, because);
    Command::parse(text, because).map(Shape::Process)
}

const JEKYLL: &str = "JEKYLL_ENV=production bundle exec jekyll build";

/// The server that the application brings along.
fn server(gems: &Gems) -> Option<(&'static str, &'static str)> {
    let servers = [
        (
            "puma",
            "bundle exec puma -b tcp://0.0.0.0:${PORT:-3000}",
            "config.ru, and puma among the gems",
        ),
        (
            "falcon",
            "bundle exec falcon serve --bind http://0.0.0.0:${PORT:-3000}",
            "config.ru, and falcon among the gems",
        ),
        (
            "unicorn",
            "bundle exec unicorn -o 0.0.0.0 -p ${PORT:-3000}",
            "config.ru, and unicorn among the gems",
        ),
        (
            "thin",
            "bundle exec thin start -R config.ru -a 0.0.0.0 -p ${PORT:-3000}",
            "config.ru, and thin among the gems",
        ),
        (
            "rackup",
            "bundle exec rackup -o 0.0.0.0 -p ${PORT:-3000}",
            "config.ru, and rackup among the gems",
        ),
        (
            "webrick",
            "bundle exec rackup -o 0.0.0.0 -p ${PORT:-3000}",
            "config.ru, and webrick among the gems",
        ),
    ];
    servers
        .iter()
        .find(|(gem, _, _)| gems.has(gem))
        .map(|(_, text, because)| (*text, *because))
}

/// A program of one file.
fn script(survey: &mut Survey<'_>, gems: &Gems, framework: Framework) -> Result<Shape, Refusal> {
    let Some(path) = survey.tree.first_file(SCRIPTS) else {
        return Err(no_start(survey.tree));
    };
    let ruby = if gems.is_empty() { "ruby" } else { "bundle exec ruby" };
    let text = match framework {
        // Sinatra's programs serve themselves.
        Framework::Rack("Sinatra") => format!("{ruby} {path} -o 0.0.0.0 -p ${{PORT:-3000}}"),
        _ => format!("{ruby} {path}"),
    };
    survey.fact("start command", &text, path);
    Command::parse(&text, path).map(Shape::Process)
}

fn no_server() -> Refusal {
    Refusal::NoStart {
        provider: "Ruby",
        looked_for: "puma, falcon, unicorn, thin, rackup and webrick among the gems".to_owned(),
        found: "config.ru, and no server for it".to_owned(),
        advice: "Add one with `bundle add puma`, or set the start command.".to_owned(),
    }
}

fn no_start(tree: &Tree) -> Refusal {
    let found: Vec<String> = tree
        .entries("")
        .into_iter()
        .filter(|entry| entry.name.ends_with(".rb"))
        .take(10)
        .map(|entry| entry.name)
        .collect();
    Refusal::NoStart {
        provider: "Ruby",
        looked_for:
            "web in the Procfile, config/application.rb (Rails), config.ru, and app.rb, main.rb, server.rb, bot.rb \
                     and run.rb"
                .to_owned(),
        found: if found.is_empty() {
            "no Ruby file at the root".to_owned()
        } else {
            shown(&found.join(", "))
        },
        advice: "Set the start command, such as `bundle exec ruby worker.rb`, or add a Procfile.".to_owned(),
    }
}
