//! The items of source code: functions, classes, types and their members.

use std::ops::ControlFlow;

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

use super::{
    Language, label,
    section::{Section, Structure},
};

/// Longer sources are cut as text: they are generated, and their syntax trees take a hundred times their size.
const MAX_BYTES: usize = 2 << 20;
/// Deeper syntax trees are not worth cutting along: no person wrote them.
const MAX_DEPTH: usize = 200;
/// Items inside items inside … are sections down to this level.
const MAX_LEVEL: u8 = 4;
/// The most characters of an item's name.
const NAME_CHARACTERS: usize = 80;

/// The items of a source text as sections. What stands between items (imports, constants, statements) is a section
/// without a name; comments and attributes belong to the item they stand right above.
pub(super) fn structure(text: &str, language: Language) -> Structure {
    let whole = Structure { sections: vec![loose(0..text.len())], syntax: false };
    if text.len() > MAX_BYTES {
        return whole;
    }
    let Some(tree) = parse(text, language) else { return whole };
    if is_deeper_than(&tree, MAX_DEPTH) {
        return whole;
    }
    let mut items = Items { text, starts: Vec::new() };
    items.collect(tree.root_node(), &[], 1);
    Structure { sections: items.sections(), syntax: true }
}

/// The grammar for a language.
pub(super) fn grammar(language: Language) -> tree_sitter::Language {
    match language {
        Language::C => tree_sitter_c::LANGUAGE.into(),
        Language::Go => tree_sitter_go::LANGUAGE.into(),
        Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
        Language::Python => tree_sitter_python::LANGUAGE.into(),
        Language::Rust => tree_sitter_rust::LANGUAGE.into(),
    }
}

/// `None` when the text takes the parser unreasonably long, counted in its own steps so that the outcome does not
/// depend on the machine.
fn parse(text: &str, language: Language) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&grammar(language)).ok()?;
    let mut steps_left = text.len() + 1000;
    let mut progress = |_: &ParseState| match steps_left {
        0 => ControlFlow::Break(()),
        _ => {
            steps_left -= 1;
            ControlFlow::Continue(())
        }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let mut source = |offset: usize, _| text.as_bytes().get(offset..).unwrap_or_default();
    parser.parse_with_options(&mut source, None, Some(options))
}

fn is_deeper_than(tree: &Tree, limit: usize) -> bool {
    let mut cursor = tree.walk();
    let mut depth = 0;
    loop {
        if cursor.goto_first_child() {
            depth += 1;
            if depth > limit {
                return true;
            }
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return false;
            }
            depth -= 1;
        }
    }
}

fn loose(span: std::ops::Range<usize>) -> Section {
    Section { span, level: 1, path: Vec::new(), bare: false }
}

/// Where each section begins, in the order of the text.
struct Items<'t> {
    text: &'t str,
    starts: Vec<Start>,
}

struct Start {
    offset: usize,
    level: u8,
    path: Vec<String>,
    /// An item, and not what stands between items.
    named: bool,
}

impl Items<'_> {
    /// Adds the items among the children of `parent`, and their members. The depth of the recursion is `MAX_LEVEL`.
    fn collect(&mut self, parent: Node, path: &[String], level: u8) {
        let mut cursor = parent.walk();
        let mut above: Option<Node> = None;
        let mut first_above: Option<usize> = None;
        for child in parent.named_children(&mut cursor) {
            let attached = above.is_some_and(|node| self.is_adjacent(&node, &child));
            if !attached && let Some(offset) = first_above.take() {
                self.start_loose(offset, path, level);
            }
            if is_annotation(&child) {
                first_above.get_or_insert(child.start_byte());
                above = Some(child);
                continue;
            }
            let offset = first_above.take().unwrap_or_else(|| child.start_byte());
            above = None;
            match item_name(&child, self.text) {
                Some(name) => {
                    let own: Vec<String> = path.iter().cloned().chain([name]).collect();
                    self.start(offset, level, own.clone(), true);
                    if level < MAX_LEVEL
                        && let Some(body) = body_of(child)
                    {
                        self.collect(body, &own, level + 1);
                    }
                }
                None => self.start_loose(offset, path, level),
            }
        }
        if let Some(offset) = first_above {
            self.start_loose(offset, path, level);
        }
    }

    fn is_adjacent(&self, above: &Node, below: &Node) -> bool {
        let gap = self.text.get(above.end_byte()..below.start_byte()).unwrap_or_default();
        let ends_line = self.text[..above.end_byte()].ends_with('\n');
        gap.matches('\n').count() + usize::from(ends_line) <= 1
    }

    /// Begins a section of what stands between items, unless one has begun. Between the members of an item it is
    /// part of that item.
    fn start_loose(&mut self, offset: usize, path: &[String], level: u8) {
        let continues =
            self.starts.last().is_some_and(|last| !last.named || (level > 1 && last.path == path));
        if !continues {
            self.start(offset, level, path.to_vec(), false);
        }
    }

    fn start(&mut self, offset: usize, level: u8, path: Vec<String>, named: bool) {
        let offset = self.line_start(offset);
        if self.starts.last().is_none_or(|last| last.offset < offset) {
            self.starts.push(Start { offset, level, path, named });
        }
    }

    /// The start of the line where only white space stands before `offset`, so that items keep their indentation.
    fn line_start(&self, offset: usize) -> usize {
        let line = self.text[..offset].rfind('\n').map_or(0, |at| at + 1);
        if self.text[line..offset].trim().is_empty() { line } else { offset }
    }

    fn sections(self) -> Vec<Section> {
        let ends: Vec<usize> =
            self.starts.iter().skip(1).map(|start| start.offset).chain([self.text.len()]).collect();
        let mut sections: Vec<Section> = self
            .starts
            .into_iter()
            .zip(ends)
            .map(|(start, end)| Section {
                span: start.offset..end,
                level: start.level,
                path: start.path,
                bare: false,
            })
            .collect();
        match sections.first_mut() {
            Some(first) => first.span.start = 0,
            None => sections.push(loose(0..self.text.len())),
        }
        sections
    }
}

/// Comments, attributes and decorators.
fn is_annotation(node: &Node) -> bool {
    matches!(node.kind(), "comment" | "line_comment" | "block_comment" | "attribute_item")
}

/// The part of an item that holds its members, for items whose members are worth a section.
fn body_of(item: Node) -> Option<Node> {
    let declared = declaration(item);
    let holds_members = matches!(
        declared.kind(),
        "class_definition" | "class_declaration" | "impl_item" | "trait_item" | "mod_item"
    );
    holds_members.then(|| declared.child_by_field_name("body")).flatten()
}

/// The item itself where `node` decorates or exports one.
fn declaration(node: Node) -> Node {
    let field = match node.kind() {
        "decorated_definition" => "definition",
        "export_statement" => "declaration",
        _ => return node,
    };
    node.child_by_field_name(field).unwrap_or(node)
}

/// How a person would call the item: `fn open_shutter`, `class Dome`, `impl Display for Dome`.
fn item_name(node: &Node, text: &str) -> Option<String> {
    let item = declaration(*node);
    let keyword = match item.kind() {
        "function_item" | "function_signature_item" => "fn",
        "function_definition" if item.child_by_field_name("declarator").is_some() => "",
        "function_definition" => "def",
        "function_declaration" | "generator_function_declaration" if is_go(&item) => "func",
        "function_declaration" | "generator_function_declaration" => "function",
        "class_definition" | "class_declaration" => "class",
        "struct_item" | "struct_specifier" => "struct",
        "enum_item" | "enum_specifier" => "enum",
        "union_item" | "union_specifier" => "union",
        "trait_item" => "trait",
        "mod_item" => "mod",
        "macro_definition" => "macro",
        "type_declaration" => "type",
        "method_declaration" => "func",
        "method_definition" => "method",
        "impl_item" => return Some(head_of(&item, text)),
        _ => return None,
    };
    let name = name_node(item)?;
    let name = text.get(name.byte_range())?;
    Some(label::plain(&format!("{keyword} {name}"), NAME_CHARACTERS))
}

/// Go's grammar and JavaScript's share the name of this node; only Go's has no braces of its own kind.
fn is_go(item: &Node) -> bool {
    item.child(0).is_some_and(|first| first.kind() == "func")
}

/// The node that names an item: its field `name`, or the identifier inside C's declarators and Go's type lists.
fn name_node(item: Node) -> Option<Node> {
    let mut node = item;
    for _ in 0..8 {
        if let Some(name) = node.child_by_field_name("name") {
            return Some(name);
        }
        node = match node.kind() {
            "type_declaration" => node.named_child(0)?,
            "identifier" | "field_identifier" | "type_identifier" => return Some(node),
            _ => node.child_by_field_name("declarator")?,
        };
    }
    None
}

/// An item's text up to its body.
fn head_of(item: &Node, text: &str) -> String {
    let end = item.child_by_field_name("body").map_or(item.end_byte(), |body| body.start_byte());
    label::plain(text.get(item.start_byte()..end).unwrap_or_default(), NAME_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each section as its path and its first line.
    fn outline(text: &str, language: Language) -> Vec<String> {
        let structure = structure(text, language);
        let mut end = 0;
        for section in &structure.sections {
            assert_eq!(section.span.start, end, "sections cover the text");
            end = section.span.end;
        }
        assert_eq!(end, text.len());
        let line =
            |section: &Section| text[section.span.clone()].lines().next().unwrap_or_default().to_owned();
        structure.sections.iter().map(|s| format!("{} | {}", s.path.join(" > "), line(s))).collect()
    }

    #[test]
    fn rust_items_and_members_take_their_comments_along() {
        let text = "//! Module.\n\nuse std::fmt;\nconst A: u8 = 1;\n\n/// Doc.\n#[derive(Debug)]\nstruct Dome;\n\n\
            impl fmt::Display for Dome {\n    /// Shows.\n    fn fmt(&self) {}\n\n    fn other() {}\n}\n\nfn last() {}\n";
        let expected = [
            " | //! Module.",
            "struct Dome | /// Doc.",
            "impl fmt::Display for Dome | impl fmt::Display for Dome {",
            "impl fmt::Display for Dome > fn fmt |     /// Shows.",
            "impl fmt::Display for Dome > fn other |     fn other() {}",
            "fn last | fn last() {}",
        ];
        assert_eq!(outline(text, Language::Rust), expected);
    }

    #[test]
    fn python_classes_have_their_methods_as_sections() {
        let text = "import os\n\n# The dome.\nclass Dome:\n    \"\"\"A dome.\"\"\"\n    limit = 85\n\n    @property\n    \
            def state(self):\n        return 1\n\n    def close(self):\n        pass\n\ndef main():\n    pass\n";
        let expected = [
            " | import os",
            "class Dome | # The dome.",
            "class Dome > def state |     @property",
            "class Dome > def close |     def close(self):",
            "def main | def main():",
        ];
        assert_eq!(outline(text, Language::Python), expected);
    }

    #[test]
    fn the_other_languages_name_their_items() {
        let c = "#include <a.h>\n\nstatic int *open_dome(int a) { return 0; }\n\nstruct dome { int a; };\n";
        assert_eq!(
            outline(c, Language::C),
            [
                " | #include <a.h>",
                "open_dome | static int *open_dome(int a) { return 0; }",
                "struct dome | struct dome { int a; };"
            ]
        );
        let go = "package dome\n\nfunc Open() {}\n\nfunc (d *Dome) Close() {}\n\ntype Dome struct{}\n";
        assert_eq!(
            outline(go, Language::Go),
            [
                " | package dome",
                "func Open | func Open() {}",
                "func Close | func (d *Dome) Close() {}",
                "type Dome | type Dome struct{}"
            ]
        );
        let js = "import a from 'a';\n\nexport class Dome {\n  close() {}\n}\n\nfunction open() {}\n";
        assert_eq!(
            outline(js, Language::JavaScript),
            [
                " | import a from 'a';",
                "class Dome | export class Dome {",
                "class Dome > method close |   close() {}",
                "function open | function open() {}"
            ]
        );
    }

    #[test]
    fn sources_that_no_person_wrote_are_one_section() {
        let deep = "[".repeat(20_000);
        assert_eq!(structure(&deep, Language::JavaScript).sections.len(), 1);
        assert!(!structure(&format!("{}1{}", "(".repeat(400), ")".repeat(400)), Language::Python).syntax);
        assert!(!structure(&"a = 1\n".repeat(MAX_BYTES / 6 + 1), Language::Python).syntax);
    }
}
