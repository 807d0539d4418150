//! The Dockerfiles of small applications, kept as files so that each change of them is read as code is.
//!
//! `tests/golden/NAME/app` is an application, `Dockerfile` its plan, `facts` what was found and why. `UPDATE_GOLDEN=1` writes the last
//! two; look at what `git diff` says then.

use std::{fs, path::Path};

use planner::{Settings, plan};

#[test]
fn the_plans_of_known_applications_are_as_they_were_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    assert!(names.len() >= 16, "{names:?}");
    let mut wrong = Vec::new();
    for application in names {
        let settings = Settings {
            cache_key: "service".to_owned(),
            variables: [("DATABASE_URL".to_owned(), "secret".to_owned())].into(),
            ..Settings::default()
        };
        let name = application.display();
        let planned = plan(&application.join("app"), &settings).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let again = plan(&application.join("app"), &settings).expect("as before");
        assert_eq!(planned, again, "{name}: the same files have the same plan");
        let mut facts = String::new();
        for fact in &planned.facts {
            facts += &format!("{}: {} ({})\n", fact.name, fact.value, fact.because);
        }
        if let Some(release) = &planned.release_command {
            facts += &format!("runs before each release: {release}\n");
        }
        for warning in &planned.warnings {
            facts += &format!("warning: {warning}\n");
        }
        for (file, text) in [("Dockerfile", &planned.dockerfile), ("facts", &facts)] {
            assert!(!text.contains("secret\n"), "{name}: a value of a variable is in {file}");
            let path = application.join(file);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, text).expect("the file can be written");
            }
            if fs::read_to_string(&path).unwrap_or_default() != *text {
                wrong.push(format!("{}:\n{text}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 writes these:\n{}", wrong.join("\n"));
}
