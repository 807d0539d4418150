//! Just enough XML to read a `pom.xml`: names, texts and nesting. Broken documents give what could be read of them.

/// Deeper elements are left out: no model of Maven's is as deep.
const DEEPEST: usize = 40;
/// Elements beyond this many are left out.
const MOST: usize = 50_000;

/// An element without its attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All elements of a path such as `build/plugins/plugin`.
    pub(super) fn all(&self, path: &str) -> Vec<&Element> {
        path.split('/').fold(vec![self], |level, name| {
            let children = level.into_iter().flat_map(|element| element.children.iter());
            children.filter(|child| child.name == name).collect()
        })
    }

    /// The text of the first element of a path, if it is not empty.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        let found = self.all(path).into_iter().next()?.text.trim();
        (!found.is_empty()).then_some(found)
    }

    /// The first element of that name at any depth.
    pub(super) fn anywhere(&self, name: &str) -> Option<&Element> {
        self.children.iter().find_map(|child| {
            if child.name == name {
                Some(child)
            } else {
                child.anywhere(name)
            }
        })
    }
}

/// The root element; an empty one if there is none.
pub(super) fn parse(text: &str) -> Element {
    let mut stack = vec![Element::default()];
    let mut rest = text;
    let mut count = 0;
    // Open elements that are too deep to be kept.
    let mut ignored = 0_usize;
    while let Some(at) = rest.find('<') {
        if ignored == 0 {
            add_text(&mut stack, &decoded(&rest[..at]));
        }
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("<![CDATA[") {
            let (inside, after) = after.split_once("]]>").unwrap_or((after, ""));
            if ignored == 0 {
                add_text(&mut stack, inside);
            }
            rest = after;
            continue;
        }
        let skipped = [("<!--", "-->"), ("<?", "?>"), ("<!", ">")];
        if let Some((begin, end)) = skipped.iter().find(|(begin, _)| rest.starts_with(begin)) {
            rest = rest[begin.len()..].split_once(end).map_or("", |(_, after)| after);
            continue;
        }
        let Some(end) = end_of_tag(rest) else { break };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if ignored > 0 {
                ignored -= 1;
            } else {
                close(&mut stack, local(name));
            }
            continue;
        }
        count += 1;
        let closes_itself = tag.ends_with('/');
        if ignored > 0 || stack.len() > DEEPEST || count > MOST {
            ignored += usize::from(!closes_itself);
            continue;
        }
        stack.push(Element {
            name: local(tag.trim_end_matches('/')).to_owned(),
            ..Element::default()
        });
        if closes_itself {
            fold(&mut stack);
        }
    }
    while stack.len() > 1 {
        fold(&mut stack);
    }
    let document = stack.pop().unwrap_or_default();
    document.children.into_iter().next().unwrap_or_default()
}

/// Where a tag ends; quoted values may hold the sign.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, character)| {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '>') => return Some(at),
            _ => {}
        }
        None
    })
}

/// A name without its namespace and what follows it.
fn local(tag: &str) -> &str {
    let name = tag.split_whitespace().next().unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default()
}

fn add_text(stack: &mut [Element], text: &str) {
    if let Some(element) = stack.last_mut() {
        element.text.push_str(text);
    }
}

fn decoded(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (entity, character)| {
        text.replace(entity, character)
    })
}

/// The innermost element becomes a child of the one around it.
fn fold(stack: &mut Vec<Element>) {
    if stack.len() > 1
        && let Some(element) = stack.pop()
        && let Some(around) = stack.last_mut()
    {
        around.children.push(element);
    }
}

/// Closes an element and what was forgotten inside of it; a name that is not open is ignored.
fn close(stack: &mut Vec<Element>, name: &str) {
    if let Some(at) = stack
        .iter()
        .rposition(|element| element.name == name)
        .filter(|at| *at > 0)
    {
        while stack.len() > at {
            fold(stack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_texts_and_nesting_are_read() {
        let root = parse(
            "<?xml version='1.0'?><!-- <a> --><m:project xmlns:m='x>y'><a>1 &amp; 2</a><b><c/><c>d</c></b>\
             <e><![CDATA[<f>]]></e></m:project>",
        );
        assert_eq!(root.name, "project");
        assert_eq!(root.text("a"), Some("1 & 2"));
        assert_eq!(root.all("b/c").len(), 2);
        assert_eq!(root.text("e"), Some("<f>"));
        assert_eq!(root.anywhere("c").map(|found| found.text.as_str()), Some(""));
    }

    #[test]
    fn broken_and_endless_documents_end() {
        for text in ["", "<", "<a", "<a><b></a>", "</a>", "<a><!-- ", "<a b='>", "<é>x</é>"] {
            let _ = parse(text);
        }
        let _ = parse(&"<a>".repeat(200_000));
        let _ = parse(&"<a/>".repeat(200_000));
        assert_eq!(parse("<a><b><c>1</b><d>2</d></a>").text("d"), Some("2"));
    }
}
