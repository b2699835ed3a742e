//! What the documents say about the program, compared with the program.

use std::{fs, path::Path};

use clap::CommandFactory;
use gibbon::{
    cli::Cli,
    commands::Exit,
    config::{Config, Paths},
};

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_readme_shows_the_configuration_template() {
    let paths = Paths { config_file: "".into(), data: "".into(), state: "".into() };
    let template = Config::with_paths(paths).to_toml();
    assert!(document("README.md").contains(&format!("```toml\n{}\n```", template.trim_end())), "{template}");
}

#[test]
fn the_readme_lists_exit_codes_and_commands() {
    let readme = document("README.md");
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(readme.contains(&row), "{row}");
    }
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let is_there = name == "chat" || readme.contains(&format!("gibbon {name}"));
        assert!(is_there, "{name}");
    }
}

/// The kinds of `--json` output and their fields, as the table in `commands/json.rs` has them.
#[test]
fn the_readme_lists_the_json_fields() {
    let readme = document("README.md");
    let source = document("src/commands/json.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let mut found = 0;
    for row in rows {
        let (kind, fields) = row.split_once("` | ").unwrap();
        let line = readme.lines().find(|line| line.starts_with(&format!("| `{kind}` |"))).expect(kind);
        for field in names(fields) {
            assert!(line.contains(&format!("`{field}`")), "{kind}: {field}");
        }
        found += 1;
    }
    assert!(found > 8, "only {found} kinds in commands/json.rs");
}

/// Files that the documents name are there, and so are the headings that they link to.
#[test]
fn links_and_paths_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["", "src", "src/model/hub", "tests/gibbon"].map(|place| root.join(place));
    for name in ["README.md", "ARCHITECTURE.md"] {
        let text = document(name);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            match target.strip_prefix('#') {
                Some(anchor) => assert!(anchors(&text).any(|known| known == anchor), "{name}: #{anchor}"),
                None if target.starts_with("https://") => {}
                None => assert!(root.join(target).exists(), "{name}: {target}"),
            }
        }
        for path in names(&text).filter(|name| name.ends_with(".rs") && !name.contains(['<', '*'])) {
            assert!(places.iter().any(|place| place.join(path).exists()), "{name}: {path}");
        }
    }
}

/// What stands between back quotes, outside of blocks of code.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2))
}

fn anchors(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>()
            .replace(' ', "-")
    })
}
