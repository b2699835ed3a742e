//! The keys of the comparison.

use KeyCode::{Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Up};

use super::{
    Action, Binding,
    Context::{Chat, Comparing, Comparison},
    KeyCode, bind, ctrl, key,
};
use crate::engine::export::comparison::ComparisonFormat;

/// What the keys of the comparison do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComparisonAction {
    /// Compares the question of the selected turn, or the last one.
    Compare,
    Cancel,
    /// Runs the comparison again with what is chosen.
    Start,
    /// Takes a strategy in or out, by its place in the order of the view.
    Toggle(usize),
    MoreRuns,
    FewerRuns,
    /// Types another question.
    Question,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Left,
    Right,
    /// The next way of showing differences.
    Differences,
    /// Says what the numbers mean, or no longer.
    Explain,
    Export(ComparisonFormat),
}

use ComparisonAction as Do;

const fn compare(action: ComparisonAction) -> Action {
    Action::Comparison(action)
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Chat, "compare", &[ctrl(Char('t'))], compare(Do::Compare), "Compare the strategies on the selected or last turn", None),
    bind(Comparing, "comparison.cancel", &[key(Esc)], compare(Do::Cancel), "Stop the comparison; what was measured stays", Some("cancel")),
    bind(Comparison, "comparison.start", &[key(Enter)], compare(Do::Start), "Compare again, with what is chosen", Some("compare")),
    bind(Comparison, "comparison.full", &[key(Char('1'))], compare(Do::Toggle(0)), "Take full in or out", Some("strategies")),
    bind(Comparison, "comparison.concat", &[key(Char('2'))], compare(Do::Toggle(1)), "Take concat in or out", Some("strategies")),
    bind(Comparison, "comparison.parallel", &[key(Char('3'))], compare(Do::Toggle(2)), "Take parallel in or out", Some("strategies")),
    bind(Comparison, "comparison.ape", &[key(Char('4'))], compare(Do::Toggle(3)), "Take ape in or out", Some("strategies")),
    bind(Comparison, "comparison.more_runs", &[key(Char('+')), key(Char('='))], compare(Do::MoreRuns), "One more run of each strategy", Some("runs")),
    bind(Comparison, "comparison.fewer_runs", &[key(Char('-'))], compare(Do::FewerRuns), "One run less of each strategy", Some("runs")),
    bind(Comparison, "comparison.explain", &[key(Char('?'))], compare(Do::Explain), "What the numbers mean", Some("numbers")),
    bind(Comparison, "comparison.differences", &[key(Char('d'))], compare(Do::Differences), "Show differences: marked, with what is missing, not at all", Some("differences")),
    bind(Comparison, "comparison.up", &[key(Up), key(Char('k'))], compare(Do::Up), "One row back", Some("scroll")),
    bind(Comparison, "comparison.down", &[key(Down), key(Char('j'))], compare(Do::Down), "One row on", Some("scroll")),
    bind(Comparison, "comparison.left", &[key(Left), key(Char('h'))], compare(Do::Left), "The answer before, where not all are shown", Some("answer")),
    bind(Comparison, "comparison.right", &[key(Right), key(Char('l'))], compare(Do::Right), "The answer after, where not all are shown", Some("answer")),
    bind(Comparison, "comparison.page_up", &[key(PageUp)], compare(Do::PageUp), "A screenful back", None),
    bind(Comparison, "comparison.page_down", &[key(PageDown)], compare(Do::PageDown), "A screenful on", None),
    bind(Comparison, "comparison.top", &[key(Home)], compare(Do::Top), "To the beginning", None),
    bind(Comparison, "comparison.bottom", &[key(End)], compare(Do::Bottom), "To the end", None),
    bind(Comparison, "comparison.question", &[key(Char('n'))], compare(Do::Question), "Type another question to compare", Some("new question")),
    bind(Comparison, "comparison.markdown", &[key(Char('M'))], compare(Do::Export(ComparisonFormat::Markdown)), "Save as Markdown", Some("save")),
    bind(Comparison, "comparison.json", &[key(Char('J'))], compare(Do::Export(ComparisonFormat::Json)), "Save as JSON", Some("save")),
    bind(Comparison, "comparison.svg", &[key(Char('S'))], compare(Do::Export(ComparisonFormat::Svg)), "Save as a chart (SVG)", Some("save")),
];
