//! JSON, TOML and YAML stay the text that they are; their highest keys and tables are headings.

use super::{DataFormat, Heading, heading_text, rst::lines_of};

pub(super) fn headings(text: &str, format: DataFormat) -> Vec<Heading> {
    let lines = lines_of(text);
    let keys: Vec<(usize, u8, &str)> = match format {
        DataFormat::Json => json_keys(&lines),
        DataFormat::Toml => toml_tables(&lines),
        DataFormat::Yaml => yaml_keys(&lines),
    };
    keys.into_iter()
        .map(|(offset, level, text)| Heading { level, text: heading_text(text), offset })
        .filter(|heading| !heading.text.is_empty())
        .collect()
}

/// The keys of the outermost object where each has a line of its own: those indented as the first one is. A string
/// cannot hold a line break, so that what begins a line is what it seems.
fn json_keys<'t>(lines: &[(usize, &'t str)]) -> Vec<(usize, u8, &'t str)> {
    let mut keys = Vec::new();
    let mut indentation = None;
    for &(offset, line) in lines {
        let rest = line.trim_start();
        let indented = line.len() - rest.len();
        let Some(key) = json_key(rest) else { continue };
        if *indentation.get_or_insert(indented) == indented && indented > 0 {
            keys.push((offset, 1, key));
        }
    }
    keys
}

fn json_key(line: &str) -> Option<&str> {
    let (key, after) = line.strip_prefix('"')?.split_once('"')?;
    after.trim_start().starts_with(':').then_some(key)
}

/// `[table]` and `[[table]]`, outside of strings of several lines.
fn toml_tables<'t>(lines: &[(usize, &'t str)]) -> Vec<(usize, u8, &'t str)> {
    let mut tables = Vec::new();
    let mut open: Option<&str> = None;
    for &(offset, line) in lines {
        if let Some(quote) = open {
            open = open.filter(|_| !line.contains(quote));
            continue;
        }
        open = ["\"\"\"", "'''"].into_iter().find(|quote| line.matches(quote).count() % 2 == 1);
        let line = line.split('#').next().unwrap_or_default().trim();
        let double = line.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"));
        let Some(name) = double.or_else(|| line.strip_prefix('[')?.strip_suffix(']')) else { continue };
        let name = name.trim();
        let is_name = |character: char| character.is_alphanumeric() || "._-\"' ".contains(character);
        if !name.is_empty() && name.chars().all(is_name) {
            let level = name.matches('.').count() + 1;
            tables.push((offset, level.min(6) as u8, name));
        }
    }
    tables
}

/// Keys without indentation; nothing inside a block of text stands that far left.
fn yaml_keys<'t>(lines: &[(usize, &'t str)]) -> Vec<(usize, u8, &'t str)> {
    let key = |line: &'t str| {
        let begins =
            line.starts_with(|first: char| first.is_alphanumeric() || matches!(first, '_' | '"' | '\''));
        let (key, after) = line.split_once(':')?;
        let ends = after.is_empty() || after.starts_with([' ', '\t']);
        (begins && ends).then(|| key.trim_matches(['"', '\'', ' ']))
    };
    lines.iter().filter_map(|&(offset, line)| Some((offset, 1, key(line)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, format: DataFormat) -> Vec<(u8, String)> {
        headings(text, format).into_iter().map(|heading| (heading.level, heading.text)).collect()
    }

    fn expected(keys: &[(u8, &str)]) -> Vec<(u8, String)> {
        keys.iter().map(|(level, text)| (*level, (*text).to_owned())).collect()
    }

    #[test]
    fn the_highest_keys_are_headings() {
        let json = "{\n  \"dome\": {\n    \"wind\": 15\n  },\n  \"mirror\": [\n    \"a\"\n  ]\n}\n";
        assert_eq!(found(json, DataFormat::Json), expected(&[(1, "dome"), (1, "mirror")]));
        assert_eq!(found("{\"a\": 1}", DataFormat::Json), []);
        let toml = "top = 1\n[dome]\nwind = 15\ntext = \"\"\"\n[no table]\n\"\"\"\nlist = [\n[1]]\n[dome.shutter]\n[[logs]]\n";
        assert_eq!(found(toml, DataFormat::Toml), expected(&[(1, "dome"), (2, "dome.shutter"), (1, "logs")]));
        let yaml = "# c\ndome:\n  wind: 15\n  text: |\n    key: no\n'mirror': 1\nurl:http\n- item: 1\n";
        assert_eq!(found(yaml, DataFormat::Yaml), expected(&[(1, "dome"), (1, "mirror")]));
    }
}
