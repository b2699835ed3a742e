//! Parses HTML within limits: a page that no person wrote is refused before it takes the memory or the time of
//! everything else.

use std::cell::Cell;

use html5ever::{
    Attribute, LocalName, TokenizerResult, local_name,
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts},
    tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink},
};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// Elements may be nested this deep; browsers stop at the same depth.
pub(super) const MAX_DEPTH: usize = 512;
/// A page may have this many elements.
pub(super) const MAX_ELEMENTS: usize = 200_000;
/// Comparisons of attributes that a page may take.
const MAX_COMPARISONS: usize = 1_000_000_000;
/// Bytes that are parsed between two looks at the tree.
const PIECE_BYTES: usize = 16 << 10;

/// The page's tree, or why there is none.
pub(super) fn parse(html: &str) -> Result<RcDom, String> {
    let tree_builder = TreeBuilder::new(RcDom::default(), TreeBuilderOpts::default());
    let tokenizer = Tokenizer::new(
        Limited { tree_builder, tokens: Cell::new(0), elements: Cell::new(0) },
        TokenizerOpts::default(),
    );
    let input = BufferQueue::default();
    let mut open_tag = OpenTag::default();
    let mut rest = html;
    while !rest.is_empty() {
        let end = (1..=PIECE_BYTES.min(rest.len()))
            .rev()
            .find(|&at| rest.is_char_boundary(at))
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        let tokens = tokenizer.sink.tokens.replace(0);
        open_tag.grow(piece, tokens)?;
        input.push_back(StrTendril::from_slice(piece));
        feed(&tokenizer, &input);
        tokenizer.sink.check()?;
        rest = after;
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

/// What is between `<` and a `>` that does not come. The tokenizer compares each attribute of a tag with all before
/// it, so a tag of very many is refused before they have been read.
#[derive(Default)]
struct OpenTag {
    /// Places since the last whole token where an attribute may begin.
    attributes: usize,
    /// Comparisons so far.
    comparisons: usize,
}

impl OpenTag {
    /// Adds the piece that comes next; `tokens` came out of the one before.
    fn grow(&mut self, piece: &str, tokens: usize) -> Result<(), String> {
        let separates = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'"' | b'\'');
        let more = piece.bytes().filter(separates).count();
        if tokens > 0 {
            self.attributes = 0;
        } else {
            self.comparisons += self.attributes * more;
        }
        self.attributes += more;
        match self.comparisons > MAX_COMPARISONS {
            true => Err("skipped: its HTML has a tag that is too long".to_owned()),
            false => Ok(()),
        }
    }
}

/// Stands between the tokenizer and the tree.
struct Limited {
    tree_builder: TreeBuilder<Handle, RcDom>,
    /// Tokens since this was last asked.
    tokens: Cell<usize>,
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
        let mut open = vec![(self.tree_builder.sink.document.clone(), 0)];
        for _ in 0..4 * MAX_DEPTH {
            let Some((node, depth)) = open.pop() else { return Ok(()) };
            if depth > MAX_DEPTH {
                return Err(too_deep());
            }
            let children = node.children.borrow();
            let mut latest = children.iter().rev();
            let Some(last) = latest.next() else { continue };
            open.push((last.clone(), depth + 1));
            // What does not belong into a table is put before it.
            open.extend(latest.next().filter(|_| is_table(last)).map(|before| (before.clone(), depth + 1)));
        }
        Ok(())
    }
}

fn is_table(node: &Handle) -> bool {
    matches!(&node.data, NodeData::Element { name, .. } if name.local == local_name!("table"))
}

impl TokenSink for Limited {
    type Handle = Handle;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<Handle> {
        self.tokens.set(self.tokens.get() + 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(html: &str) -> String {
        parse(html).map(|_| ()).expect_err("refused")
    }

    #[test]
    fn deep_pages_are_refused_whatever_makes_them_deep() {
        let plain = "<div>".repeat(10_000);
        // Closing tags that the parser ignores, and content that it moves out of a table.
        let hidden = "<div><object></div></object>".repeat(10_000);
        let moved = format!("<table>{plain}");
        for html in [plain, hidden, moved] {
            assert!(refusal(&html).contains("512"));
        }
    }

    #[test]
    fn a_tag_of_very_many_attributes_is_refused_and_a_long_one_is_not() {
        let attributes: String = (0..300_000).map(|number| format!(" {number}")).collect();
        let mut open_tag = OpenTag::default();
        let pieces =
            attributes.as_bytes().chunks(PIECE_BYTES).map(|piece| str::from_utf8(piece).expect("ASCII"));
        let refused = pieces.map(|piece| open_tag.grow(piece, 0)).any(|result| result.is_err());
        assert!(refused);
        let image = "A/b0".repeat(20_000);
        assert!(parse(&format!("<img src='data:image/png;base64,{image}'><p>word")).is_ok());
    }

    #[test]
    fn pages_of_too_many_elements_are_refused() {
        assert!(refusal(&"<p>".repeat(MAX_ELEMENTS + 1)).contains("200000"));
    }
}
