//! Parses HTML within limits: a page that no person wrote is refused before it takes the memory or the time of
//! everything else.

use std::cell::Cell;

use html5ever::{
    Attribute, LocalName, TokenizerResult, local_name,
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts},
    tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink},
};
use markup5ever_rcdom::{Handle, RcDom};

/// Elements may be nested this deep; browsers stop at the same depth.
pub(super) const MAX_DEPTH: usize = 512;
/// A page may have this many elements.
pub(super) const MAX_ELEMENTS: usize = 200_000;
/// Bytes that are parsed between two looks at the tree.
const PIECE_BYTES: usize = 16 << 10;

/// The page's tree, or why there is none.
pub(super) fn parse(html: &str) -> Result<RcDom, String> {
    let tree_builder = TreeBuilder::new(RcDom::default(), TreeBuilderOpts::default());
    let tokenizer =
        Tokenizer::new(Limited { tree_builder, elements: Cell::new(0) }, TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut rest = html;
    while !rest.is_empty() {
        let end = (1..=PIECE_BYTES.min(rest.len()))
            .rev()
            .find(|&at| rest.is_char_boundary(at))
            .unwrap_or(rest.len());
        input.push_back(StrTendril::from_slice(&rest[..end]));
        rest = &rest[end..];
        feed(&tokenizer, &input);
        tokenizer.sink.check()?;
    }
    tokenizer.end();
    tokenizer.sink.check()?;
    let page = tokenizer.sink.tree_builder.sink.finish();
    if depth_of(&page.document) > MAX_DEPTH { Err(too_deep()) } else { Ok(page) }
}

fn feed(tokenizer: &Tokenizer<Limited>, input: &BufferQueue) {
    // Scripts are not run, so the tokenizer just goes on after each.
    while !matches!(tokenizer.feed(input), TokenizerResult::Done) {}
}

fn too_deep() -> String {
    format!("skipped: its HTML is nested more than {MAX_DEPTH} levels deep")
}

/// Stands between the tokenizer and the tree.
struct Limited {
    tree_builder: TreeBuilder<Handle, RcDom>,
    /// Start tags so far.
    elements: Cell<usize>,
}

impl Limited {
    /// An error as soon as it is clear that the page is beyond the limits. The depth is that of what is being added
    /// to; the whole tree is measured at the end.
    fn check(&self) -> Result<(), String> {
        if self.elements.get() > MAX_ELEMENTS {
            return Err(format!("skipped: its HTML has more than {MAX_ELEMENTS} elements"));
        }
        let mut node = self.tree_builder.sink.document.clone();
        for _ in 0..=MAX_DEPTH {
            let Some(last) = node.children.borrow().last().cloned() else { return Ok(()) };
            node = last;
        }
        Err(too_deep())
    }
}

impl TokenSink for Limited {
    type Handle = Handle;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<Handle> {
        let token = match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                self.elements.set(self.elements.get() + 1);
                Token::TagToken(without_variety(tag))
            }
            token => token,
        };
        if self.elements.get() > MAX_ELEMENTS {
            return TokenSinkResult::Continue;
        }
        self.tree_builder.process_token(token, line_number)
    }

    fn end(&self) {
        self.tree_builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.tree_builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Formatting elements without their attributes, which mean nothing for text. HTML opens formatting that was left
/// open again in every paragraph, each different element once: a page of hundreds would fill the memory. Those
/// without attributes are never opened more than three times.
fn without_variety(mut tag: Tag) -> Tag {
    if is_formatting(&tag.name) {
        tag.attrs = Vec::<Attribute>::new();
    }
    tag
}

fn is_formatting(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("b")
            | local_name!("big")
            | local_name!("code")
            | local_name!("em")
            | local_name!("font")
            | local_name!("i")
            | local_name!("nobr")
            | local_name!("s")
            | local_name!("small")
            | local_name!("strike")
            | local_name!("strong")
            | local_name!("tt")
            | local_name!("u")
    )
}

/// Levels of the tree below `root`, counted without recursion.
fn depth_of(root: &Handle) -> usize {
    let mut deepest = 0;
    let mut open = vec![(root.clone(), 0)];
    while let Some((node, depth)) = open.pop() {
        deepest = deepest.max(depth);
        open.extend(node.children.borrow().iter().map(|child| (child.clone(), depth + 1)));
    }
    deepest
}
