//! The items of source code: functions, classes, types and their members. What they are in each language stands in
//! `languages`.

mod languages;
#[cfg(test)]
mod tests;

use std::{cell::Cell, ops::ControlFlow};

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

use super::{
    Language, label,
    measure::boundary_before,
    section::{Section, Structure},
};
use languages::{Item, Members, Name, Syntax};

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
    let mut items = Items { text, syntax: languages::syntax(language), starts: Vec::new() };
    items.collect(tree.root_node(), &[], 1);
    Structure { sections: items.sections(), syntax: true }
}

/// The grammar for a language.
pub(super) fn grammar(language: Language) -> tree_sitter::Language {
    (languages::syntax(language).grammar)()
}

/// `None` when the text takes the parser unreasonably long, counted in its own steps and in what it reads again, so that the
/// outcome does not depend on the machine: a scanner may look for the end of a string as far as the text goes, at every
/// place where one could begin.
fn parse(text: &str, language: Language) -> Option<Tree> {
    /// Bytes that the parser is given at a time.
    const PIECE_BYTES: usize = 4096;
    let mut parser = Parser::new();
    parser.set_language(&grammar(language)).ok()?;
    let mut steps_left = text.len() + 1000;
    let bytes_left = Cell::new(64 * text.len() + (1 << 20));
    let mut progress = |_: &ParseState| match steps_left.min(bytes_left.get()) {
        0 => ControlFlow::Break(()),
        _ => {
            steps_left -= 1;
            ControlFlow::Continue(())
        }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let mut source = |offset: usize, _| {
        // A piece that ended within a character would be asked for again, and where there is none the parser would read at no
        // address.
        let end = boundary_before(text, offset.saturating_add(PIECE_BYTES));
        let piece = text.as_bytes().get(offset..end).unwrap_or_default();
        bytes_left.set(bytes_left.get().saturating_sub(piece.len()));
        if bytes_left.get() == 0 { &[] } else { piece }
    };
    let tree = parser.parse_with_options(&mut source, None, Some(options));
    tree.filter(|_| bytes_left.get() > 0)
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
    syntax: Syntax,
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
            if self.syntax.is_annotation(&child) {
                first_above.get_or_insert(child.start_byte());
                above = Some(child);
                continue;
            }
            let offset = first_above.take().unwrap_or_else(|| child.start_byte());
            above = None;
            let item = self.syntax.declaration(child);
            let known = self.syntax.item(&item);
            match known.and_then(|known| Some((known, known.name_of(&item, self.text)?))) {
                Some((known, name)) => {
                    let own: Vec<String> = path.iter().cloned().chain([name]).collect();
                    self.start(offset, level, own.clone(), true);
                    if level < MAX_LEVEL
                        && let Some(body) = known.members_of(item)
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

impl Syntax {
    /// Comments, attributes and decorators.
    fn is_annotation(&self, node: &Node) -> bool {
        node.kind().contains("comment") || self.annotations.contains(&node.kind())
    }

    /// The item itself where `node` decorates or exports one.
    fn declaration<'t>(&self, node: Node<'t>) -> Node<'t> {
        let mut node = node;
        while self.wrappers.contains(&node.kind()) {
            let mut cursor = node.walk();
            let held = node.named_children(&mut cursor).find(|child| {
                self.wrappers.contains(&child.kind())
                    || self.items.iter().any(|item| item.kind == child.kind())
            });
            match held {
                Some(held) => node = held,
                None => break,
            }
        }
        node
    }

    fn item(&self, node: &Node) -> Option<&'static Item> {
        self.items.iter().find(|item| item.kind == node.kind())
    }
}

impl Item {
    /// How a person would call the item: `fn open_shutter`, `class Dome`, `impl Display for Dome`.
    fn name_of(&self, node: &Node, text: &str) -> Option<String> {
        let name = match self.name {
            Name::Head => return Some(head_of(node, text)),
            Name::Macro => return macro_call(node, text),
            Name::Field => node.child_by_field_name("name")?,
            Name::In(kind) => {
                let child = child_of_kind(*node, kind)?;
                child.child_by_field_name("name").unwrap_or(child)
            }
            Name::Declarator => declared(*node)?,
            Name::Holding(kinds) => holder(*node, kinds)?,
        };
        let name = text.get(name.byte_range())?;
        // `def self.` is all but the name itself.
        let space = if self.keyword.ends_with('.') { "" } else { " " };
        Some(label::plain(&format!("{}{space}{name}", self.keyword), NAME_CHARACTERS))
    }

    /// The node whose children are the item's members.
    fn members_of<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        match self.members {
            Members::None => None,
            Members::Body => node.child_by_field_name("body"),
            Members::In(kind) => child_of_kind(node, kind).or_else(|| child_of_kind(last_child(node)?, kind)),
        }
    }
}

fn child_of_kind<'t>(node: Node<'t>, kind: &str) -> Option<Node<'t>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).find(|child| child.kind() == kind)
}

fn last_child(node: Node) -> Option<Node> {
    node.named_child(node.named_child_count().checked_sub(1)? as u32)
}

/// The identifier inside C's declarators: `open` in `static int *open(int a)`.
fn declared(item: Node) -> Option<Node> {
    let mut node = item.child_by_field_name("declarator")?;
    for _ in 0..8 {
        match node.child_by_field_name("declarator") {
            Some(inner) => node = inner,
            // A reference's declarator has no field for what it declares.
            None if node.kind() == "reference_declarator" => node = last_child(node)?,
            None => return Some(node),
        }
    }
    None
}

/// The name of a variable that holds something of one of these kinds.
fn holder<'t>(item: Node<'t>, kinds: &[&str]) -> Option<Node<'t>> {
    let declarator = child_of_kind(item, "variable_declarator").unwrap_or(item);
    let value = declarator.child_by_field_name("value").or_else(|| last_child(declarator))?;
    let name = declarator.child_by_field_name("name").or_else(|| declarator.named_child(0))?;
    kinds.contains(&value.kind()).then_some(name)
}

/// Elixir: `defmodule Dome`, `def close`.
fn macro_call(call: &Node, text: &str) -> Option<String> {
    let target = call.child_by_field_name("target")?;
    let keyword = text.get(target.byte_range())?;
    let known = [
        "defmodule",
        "defprotocol",
        "defimpl",
        "def",
        "defp",
        "defmacro",
        "defmacrop",
        "defguard",
        "test",
        "describe",
    ];
    if !known.contains(&keyword) {
        return None;
    }
    let mut name = child_of_kind(*call, "arguments")?.named_child(0)?;
    // `close(dome) when …` is an operator around a call, and only the name of what is called counts.
    for _ in 0..2 {
        let inner = name.child_by_field_name("left").or_else(|| name.child_by_field_name("target"));
        name = inner.unwrap_or(name);
    }
    Some(label::plain(&format!("{keyword} {}", text.get(name.byte_range())?), NAME_CHARACTERS))
}

/// An item's text up to its body.
fn head_of(item: &Node, text: &str) -> String {
    let body = item.child_by_field_name("body").or_else(|| child_of_kind(*item, "block"));
    let end = body.map_or(item.end_byte(), |body| body.start_byte());
    label::plain(text.get(item.start_byte()..end).unwrap_or_default(), NAME_CHARACTERS)
}
