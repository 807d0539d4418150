//! Which images a Dockerfile pulls: a user's own as well as a planned one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A substituted text is not longer than this, however often a hostile file doubles it.
const LONGEST: usize = 1024;

#[derive(Debug)]
struct Stage {
    name: Option<String>,
    /// Images and stages, by the names used.
    uses: Vec<String>,
}

/// The images that a build of this Dockerfile pulls, each once, in the order of their first use: of `FROM`,
/// `COPY --from` and `RUN --mount=…,from=`. Stages and `scratch` are no images. Only stages that the target (the last
/// one, if none is given) is made of count, as BuildKit builds no others.
pub fn base_images_of_dockerfile(
    text: &str,
    build_args: &BTreeMap<String, String>,
    target: Option<&str>,
) -> Vec<String> {
    let mut global: BTreeMap<String, String> = BTreeMap::new();
    let mut local: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions(text) {
        let (word, rest) = instruction
            .split_once(char::is_whitespace)
            .unwrap_or((&instruction, ""));
        match word.to_ascii_uppercase().as_str() {
            "ARG" => {
                let known = if stages.is_empty() { &global } else { &local };
                for (name, value) in arguments(rest, known) {
                    let value = build_args
                        .get(&name)
                        .cloned()
                        .or(value)
                        .or_else(|| global.get(&name).cloned());
                    let scope = if stages.is_empty() { &mut global } else { &mut local };
                    if let Some(value) = value {
                        scope.insert(name, value);
                    }
                }
            }
            "FROM" => {
                local.clear();
                let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
                let image = substitute(unquoted(words.next().unwrap_or_default()), &global);
                let named = words.next().is_some_and(|word| word.eq_ignore_ascii_case("as"));
                let name = words.next().filter(|_| named).map(str::to_lowercase);
                stages.push(Stage {
                    name,
                    uses: vec![image],
                });
            }
            "COPY" | "ADD" | "RUN" => {
                if let Some(stage) = stages.last_mut() {
                    let flags = rest.split_whitespace().take_while(|word| word.starts_with("--"));
                    stage
                        .uses
                        .extend(flags.filter_map(from_of_flag).map(|from| substitute(from, &local)));
                }
            }
            _ => {}
        }
    }
    images(&stages, target)
}

/// What `--from=…` or `--mount=…,from=…` names.
fn from_of_flag(flag: &str) -> Option<&str> {
    if let Some(from) = flag.strip_prefix("--from=") {
        return Some(unquoted(from));
    }
    flag.strip_prefix("--mount=")?
        .split(',')
        .find_map(|part| unquoted(part).strip_prefix("from="))
}

/// Walks from the target over the stages that it uses.
fn images(stages: &[Stage], target: Option<&str>) -> Vec<String> {
    let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, stage) in stages.iter().enumerate() {
        if let Some(name) = &stage.name {
            named.entry(name).or_default().push(index);
        }
    }
    // A stage may only use those before it; a later one of the same name is another.
    let find = |name: &str, before: usize| {
        let of_name = named.get(name.to_lowercase().as_str()).map_or(&[][..], Vec::as_slice);
        let earlier = &of_name[..of_name.partition_point(|index| *index < before)];
        let by_number = || name.parse::<usize>().ok().filter(|index| *index < before);
        earlier.last().copied().or_else(by_number)
    };
    let last = stages.len().checked_sub(1);
    let Some(goal) = target
        .filter(|name| !name.is_empty())
        .map_or(last, |name| find(name, stages.len()))
    else {
        return Vec::new();
    };
    let mut needed = BTreeSet::from([goal]);
    let mut waiting = vec![goal];
    while let Some(index) = waiting.pop() {
        for used in &stages[index].uses {
            if let Some(stage) = find(used, index)
                && needed.insert(stage)
            {
                waiting.push(stage);
            }
        }
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for index in needed {
        for used in &stages[index].uses {
            let is_image = !used.is_empty() && used != "scratch" && find(used, index).is_none();
            if is_image && seen.insert(used) {
                found.push(used.clone());
            }
        }
    }
    found
}

/// Instructions with their continuation lines joined, without comments and the bodies of heredocs.
fn instructions(text: &str) -> Vec<String> {
    let mut escape = '\\';
    let mut directives = true;
    let mut found = Vec::new();
    let mut current = String::new();
    let mut heredocs: VecDeque<(String, bool)> = VecDeque::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        if let Some((end, strips_tabs)) = heredocs.front() {
            let line = if *strips_tabs {
                line.trim_start_matches('\t')
            } else {
                line
            };
            if line == end {
                heredocs.pop_front();
            }
            continue;
        }
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix('#') {
            if directives
                && let Some((name, value)) = comment.split_once('=')
                && name.trim().eq_ignore_ascii_case("escape")
            {
                escape = if value.trim() == "`" { '`' } else { '\\' };
            }
            directives &= comment.contains('=');
            continue;
        }
        directives = false;
        if trimmed.is_empty() {
            continue;
        }
        let line = if current.is_empty() { trimmed } else { line.trim_end() };
        if let Some(continued) = line.strip_suffix(escape) {
            current.push_str(continued);
            current.push(' ');
            continue;
        }
        current.push_str(line);
        heredocs = heredocs_of(&current);
        found.push(std::mem::take(&mut current));
    }
    if !current.is_empty() {
        found.push(current);
    }
    found
}

/// The ends of the heredocs that an instruction begins, and whether tabs before them are ignored.
fn heredocs_of(instruction: &str) -> VecDeque<(String, bool)> {
    let word = instruction.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
    {
        return VecDeque::new();
    }
    let begun = instruction.split_whitespace().filter_map(|word| {
        let rest = word
            .trim_start_matches(|character: char| character.is_ascii_digit())
            .strip_prefix("<<")?;
        let (strips_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let name: String = unquoted(rest).to_owned();
        let plain = !name.is_empty()
            && name
                .chars()
                .all(|character| character.is_alphanumeric() || character == '_');
        plain.then_some((name, strips_tabs))
    });
    begun.collect()
}

/// The names and defaults of an `ARG`.
fn arguments(rest: &str, known: &BTreeMap<String, String>) -> Vec<(String, Option<String>)> {
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut inside = false;
    for character in rest.chars() {
        match quote {
            Some(end) if character == end => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if character.is_whitespace() => {
                inside = false;
                continue;
            }
            _ => {}
        }
        if !inside {
            words.push(String::new());
            inside = true;
        }
        if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(substitute(unquoted(value), known))),
            None => (word.clone(), None),
        })
        .collect()
}

fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(text)
}

/// `$NAME`, `${NAME}`, `${NAME:-otherwise}` and `${NAME:+instead}`; an unknown name is empty.
fn substitute(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if rest[at..].starts_with('\\') {
            let next = after.chars().next();
            result.extend(next);
            rest = &after[next.map_or(0, char::len_utf8)..];
            continue;
        }
        if let Some(braced) = after.strip_prefix('{') {
            let Some(end) = closing_brace(braced) else {
                return String::new();
            };
            let inner = &braced[..end];
            let name_end = inner.find(|character: char| !is_name(character)).unwrap_or(inner.len());
            let value = known.get(&inner[..name_end]).map(String::as_str);
            let set = value.filter(|value| !value.is_empty());
            match &inner[name_end..] {
                modifier if modifier.starts_with(":-") => {
                    result.push_str(&set.map_or_else(|| substitute(&modifier[2..], known), str::to_owned));
                }
                modifier if modifier.starts_with('-') => {
                    result.push_str(&value.map_or_else(|| substitute(&modifier[1..], known), str::to_owned));
                }
                modifier if modifier.starts_with(":+") && set.is_some() => {
                    result.push_str(&substitute(&modifier[2..], known));
                }
                "" => result.push_str(value.unwrap_or_default()),
                _ => {}
            }
            rest = &braced[end + 1..];
        } else {
            let end = after.find(|character: char| !is_name(character)).unwrap_or(after.len());
            result.push_str(known.get(&after[..end]).map(String::as_str).unwrap_or_default());
            rest = &after[end..];
        }
        if result.len() > LONGEST {
            return String::new();
        }
    }
    result.push_str(rest);
    if result.len() > LONGEST { String::new() } else { result }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Where the brace that was opened before the text closes. Deeper nesting than any image name needs is not followed.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        if depth > 8 {
            return None;
        }
    }
    None
}
