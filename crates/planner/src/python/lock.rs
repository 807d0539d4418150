//! Which versions of Python a lock file's packages are ready-made for: an old lock file with a new Python means compiling,
//! for which the tools are seldom there.

/// The allowed minor for which most packages have a wheel for Linux; the newest of several.
pub(super) fn most_wheels(lock: &str, allowed: &[u64]) -> Option<u64> {
    let packages: Vec<Vec<u64>> = lock.split("[[package]]").skip(1).filter_map(minors).collect();
    let count = |minor: u64| packages.iter().filter(|minors| minors.contains(&minor)).count();
    allowed
        .iter()
        .copied()
        .max_by_key(|minor| (count(*minor), *minor))
        .filter(|_| !packages.is_empty())
}

/// The names of wheels in a folder as a lock file would have them.
pub(super) fn as_lock(wheels: &[String]) -> String {
    wheels
        .iter()
        .map(|wheel| format!("[[package]]\n\"{wheel}\"\n"))
        .collect()
}

/// The minors of one package's wheels; `None` if any Python will do, or nobody needs it when it runs.
fn minors(package: &str) -> Option<Vec<u64>> {
    if package.contains("category = \"dev\"") || package.contains("groups = [\"dev\"]") {
        return None;
    }
    let mut minors = Vec::new();
    for wheel in package.split('"').filter(|text| text.ends_with(".whl")) {
        if wheel.ends_with("-none-any.whl") || wheel.contains("-abi3-") {
            return None;
        }
        let tag = wheel.split("-cp3").nth(1).filter(|_| wheel.contains("linux"));
        let digits: Option<String> = tag.map(|tag| tag.chars().take_while(char::is_ascii_digit).take(3).collect());
        minors.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    (!minors.is_empty()).then_some(minors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_with_most_ready_made_packages_is_chosen_and_else_the_newest() {
        let old = "[[package]]\nname = \"a\"\nfiles = [{file = \"a-1-cp311-cp311-manylinux_2_17_x86_64.whl\"}]\n";
        let pure = "[[package]]\nname = \"b\"\nfiles = [{file = \"b-1-py3-none-any.whl\"}]\n";
        let both = "[[package]]\nwheels = [{url = \"https://x/c-1-cp313-cp313-manylinux_2_17_x86_64.whl\"}, \
                    {url = \"https://x/c-1-cp311-cp311-manylinux_2_17_x86_64.whl\"}]\n";
        let limited = "[[package]]\nfiles = [{file = \"d-1-cp37-abi3-manylinux_2_17_x86_64.whl\"}]\n";
        let dev = "[[package]]\ngroups = [\"dev\"]\nfiles = [{file = \"e-1-cp311-cp311-manylinux_2_17_x86_64.whl\"}]\n";
        assert_eq!(most_wheels(&format!("{pure}{old}{both}"), &[13, 11]), Some(11));
        assert_eq!(most_wheels(&format!("{pure}{both}{limited}"), &[13, 11]), Some(13));
        assert_eq!(most_wheels(&format!("{pure}{dev}"), &[13, 11]), None);
        assert_eq!(most_wheels("nothing", &[13]), None);
    }
}
