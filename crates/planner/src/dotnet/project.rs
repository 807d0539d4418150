//! A project file (`.csproj` and its kin), read as XML. MSBuild is not run: properties that are computed count as not
//! said.

use roxmltree::{Document, Node};

use crate::{
    Refusal,
    tree::{Tree, is_plain_path, join, shown},
};

/// No element of a project file has more, and no project file more namespaces.
const MOST_ATTRIBUTES: usize = 1_000;

/// What one project file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) folder: String,
    /// The file's name.
    pub(super) name: String,
    pub(super) assembly: String,
    /// Such as `net8.0`, the newest of several.
    pub(super) frameworks: Vec<String>,
    pub(super) is_web: bool,
    pub(super) is_program: bool,
    pub(super) is_test: bool,
    pub(super) is_self_contained: bool,
    /// It reads other files than its own.
    pub(super) imports: bool,
}

impl Project {
    pub(super) fn path(&self) -> String {
        join(&self.folder, &self.name)
    }

    pub(super) fn read(tree: &Tree, folder: &str, name: &str) -> Result<Self, Refusal> {
        let path = join(folder, name);
        let text = tree.text(&path)?.unwrap_or_default();
        // The parser compares each namespace with all others, and each attribute with all others of its element.
        let most_attributes = text.split('<').map(|tag| tag.matches('=').count()).max().unwrap_or(0);
        if most_attributes.max(text.matches("xmlns").count()) > MOST_ATTRIBUTES {
            return Err(Refusal::Malformed {
                path: shown(&path),
                why: format!("it has more than {MOST_ATTRIBUTES} attributes in one element, or as many XML namespaces"),
            });
        }
        let options = roxmltree::ParsingOptions {
            // No entities, and no more than a project could have.
            allow_dtd: false,
            nodes_limit: 50_000,
            ..Default::default()
        };
        let document = Document::parse_with_options(&text, options).map_err(|error| Refusal::Malformed {
            path: shown(&path),
            why: shown(&error.to_string()),
        })?;
        let root = document.root_element();
        let sdk = root.attribute("Sdk").unwrap_or_default().to_owned();
        let property = |wanted: &str| property(root, wanted);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let assembly = property("AssemblyName").filter(|name| is_plain(name));
        let frameworks = property("TargetFrameworks").or_else(|| property("TargetFramework"));
        let output = property("OutputType").unwrap_or_default();
        let packages: Vec<&str> = root
            .descendants()
            .filter(|node| node.has_tag_name("PackageReference"))
            .filter_map(|node| node.attribute("Include"))
            .collect();
        let is_web = sdk.contains("Microsoft.NET.Sdk.Web") || sdk.contains("Microsoft.NET.Sdk.BlazorWebAssembly");
        Ok(Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
            assembly: assembly.unwrap_or(stem).to_owned(),
            frameworks: frameworks
                .unwrap_or_default()
                .split(';')
                .map(|framework| framework.trim().to_owned())
                .filter(|framework| !framework.is_empty())
                .take(10)
                .collect(),
            is_program: is_web || sdk.contains("Microsoft.NET.Sdk.Worker") || output.eq_ignore_ascii_case("exe"),
            is_web,
            is_test: property("IsTestProject").is_some_and(|value| value.eq_ignore_ascii_case("true"))
                || packages.contains(&"Microsoft.NET.Test.Sdk"),
            is_self_contained: property("SelfContained").is_some_and(|value| value.eq_ignore_ascii_case("true")),
            imports: root.descendants().any(|node| node.has_tag_name("Import")),
        })
    }
}

/// The last unconditional value of a property, if it is not computed.
fn property<'a>(root: Node<'a, 'a>, wanted: &str) -> Option<&'a str> {
    let nodes = root.children().filter(|node| node.tag_name().name() == "PropertyGroup");
    let values = nodes
        .flat_map(|group| group.children())
        .filter(|node| node.tag_name().name() == wanted && node.attribute("Condition").is_none());
    values
        .filter_map(|node| node.text())
        .map(str::trim)
        .rfind(|text| !text.is_empty() && !text.contains("$("))
}

fn is_plain(name: &str) -> bool {
    is_plain_path(name) && !name.contains('/')
}
