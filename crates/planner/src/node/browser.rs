//! Applications that drive a browser. Puppeteer and Playwright download one while they are installed, into a folder of root's,
//! without the libraries that it loads; Debian's Chromium brings them along and gets security fixes with each new image.

use crate::{dockerfile::Dockerfile, node::package::Package, survey::Survey};

const CHROMIUM: &str = "/usr/bin/chromium";
/// Without fonts a page is rendered as empty boxes.
const PACKAGES: [&str; 2] = ["chromium", "fonts-liberation"];

/// Packages that drive a browser by Puppeteer.
const BY_PUPPETEER: &[&str] = &["puppeteer", "whatsapp-web.js", "html-pdf-node", "md-to-pdf"];
const BY_PLAYWRIGHT: &[&str] = &["playwright", "playwright-chromium"];

/// What an image needs for them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Browser {
    /// They are installed, if only for tests.
    is_driven: bool,
    puppeteer: bool,
    /// The package of Playwright.
    playwright: Option<&'static str>,
}

impl Browser {
    pub(super) fn find(survey: &mut Survey<'_>, packages: &[&Package]) -> Self {
        let runs = |names: &[&'static str]| {
            let mut names = names.iter().copied();
            names.find(|name| packages.iter().any(|package| package.runs_with(name)))
        };
        let all = || BY_PUPPETEER.iter().chain(BY_PLAYWRIGHT).chain(&["@playwright/test"]);
        let (puppeteer, playwright) = (runs(BY_PUPPETEER), runs(BY_PLAYWRIGHT));
        if let Some(name) = puppeteer.or(playwright) {
            survey.fact(
                "browser",
                "Debian's Chromium",
                &format!("{name} in dependencies; in a container it starts with --no-sandbox only"),
            );
        }
        Self {
            is_driven: all().any(|name| packages.iter().any(|package| package.uses(name))),
            puppeteer: puppeteer.is_some(),
            playwright,
        }
    }

    fn is_needed(self) -> bool {
        self.puppeteer || self.playwright.is_some()
    }

    /// Debian's packages of the image that runs.
    pub(super) fn packages(self) -> &'static [&'static str] {
        if self.is_needed() { &PACKAGES } else { &[] }
    }

    /// What keeps an installation from downloading a browser.
    pub(super) fn while_installing(self) -> &'static [(&'static str, &'static str)] {
        if self.is_driven {
            &[
                ("PUPPETEER_SKIP_DOWNLOAD", "true"),
                ("PUPPETEER_SKIP_CHROMIUM_DOWNLOAD", "true"),
                ("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
            ]
        } else {
            &[]
        }
    }

    /// Where a browser is looked for.
    pub(super) fn while_running(self) -> Vec<(&'static str, &'static str)> {
        let mut environment = Vec::new();
        if self.puppeteer {
            environment.push(("PUPPETEER_EXECUTABLE_PATH", CHROMIUM));
        }
        if self.playwright.is_some() {
            environment.push(("PLAYWRIGHT_BROWSERS_PATH", "/opt/playwright"));
        }
        environment
    }

    /// Puts Chromium where the installed release of Playwright looks for its own, with and without a window: it says where when
    /// there is nothing.
    pub(super) fn link(self, file: &mut Dockerfile, folder: &str) {
        let Some(name) = self.playwright else { return };
        let script = format!(
            "const fs = require('fs'), {{ dirname }} = require('path'); \
             const {{ chromium }} = require(require.resolve('{name}', {{ paths: ['{folder}'] }})); \
             (async () => {{ for (const headless of [true, false]) {{ \
             const why = await chromium.launch({{ headless }}).then((browser) => browser.close(), (error) => error.message); \
             const path = /Executable doesn't exist at (\\S+)/.exec(why)?.[1]; \
             if (path) {{ fs.mkdirSync(dirname(path), {{ recursive: true }}); fs.symlinkSync('{CHROMIUM}', path); }} }} }})();"
        );
        file.run_words(&[], &["node", "-e", &script]);
    }
}
