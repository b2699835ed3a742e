//! HTML pages as Markdown.
//!
//! The conversion recurses, so a page is checked first: one that no person wrote (elements nested hundreds deep,
//! or too many of them) is refused with a reason instead of taking the memory or the stack of everything else.

use std::thread;

use html5ever::{ParseOpts, local_name, parse_document, tendril::TendrilSink, tree_builder::TreeBuilderOpts};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

use super::label;

/// Elements may be nested this deep; browsers stop at the same depth.
const MAX_DEPTH: usize = 512;
/// A page may have this many elements.
const MAX_ELEMENTS: usize = 500_000;
/// Bytes of stack for the conversion, a few times what `MAX_DEPTH` takes in a build without optimisation.
const STACK_BYTES: usize = 64 << 20;
/// The most characters of a page's title that are kept.
const TITLE_CHARACTERS: usize = 200;
/// What is in these is no text for readers. The head's title is read separately.
const SKIPPED: [&str; 8] = ["head", "script", "style", "noscript", "template", "svg", "iframe", "canvas"];
/// Elements that HTML lets stay open, or that never have content: they say nothing about depth.
const UNCOUNTED: [&str; 24] = [
    "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "colgroup",
    "br", "hr", "img", "input", "meta", "link", "col", "wbr", "area", "base", "source",
];

/// A converted page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// Of the `<title>` element.
    pub title: Option<String>,
    pub markdown: String,
}

/// Converts a page, or says why it cannot be.
pub(super) fn to_markdown(html: String) -> Result<Page, String> {
    let failed = || "skipped: its HTML could not be converted".to_owned();
    // On a thread of its own: the stack is known, and a defect in the conversion ends there.
    let thread = thread::Builder::new().name("html".to_owned()).stack_size(STACK_BYTES);
    let handle = thread.spawn(move || convert(&html)).map_err(|_| failed())?;
    handle.join().map_err(|_| failed())?
}

fn convert(html: &str) -> Result<Page, String> {
    let too_deep = || format!("skipped: its HTML is nested more than {MAX_DEPTH} levels deep");
    let markup = Markup::of(html);
    if markup.elements > MAX_ELEMENTS {
        return Err(format!("skipped: its HTML has more than {MAX_ELEMENTS} elements"));
    }
    // Deep pages also take the parser long, so what can be seen without parsing is refused without parsing.
    if markup.depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let tree_builder = TreeBuilderOpts { scripting_enabled: true, ..TreeBuilderOpts::default() };
    let page = parse_document(RcDom::default(), ParseOpts { tree_builder, ..ParseOpts::default() }).one(html);
    if depth_of(&page.document) > MAX_DEPTH {
        return Err(too_deep());
    }
    let converter = htmd::HtmlToMarkdown::builder().skip_tags(SKIPPED.to_vec()).build();
    let markdown = converter.tree_to_markdown(&page.document);
    Ok(Page { title: title_of(&page.document), markdown })
}

/// What can be said of a page without parsing it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Markup {
    elements: usize,
    /// An estimate of the deepest nesting: tags inside comments and scripts count too.
    depth: usize,
}

impl Markup {
    fn of(html: &str) -> Self {
        let mut markup = Self::default();
        let mut depth = 0_usize;
        let bytes = html.as_bytes();
        for start in memchr_all(bytes) {
            let rest = &bytes[start + 1..];
            let closes = rest.first() == Some(&b'/');
            let name = tag_name(&rest[usize::from(closes)..]);
            if name.is_empty() {
                continue;
            }
            markup.elements += usize::from(!closes);
            if UNCOUNTED.iter().any(|uncounted| uncounted.as_bytes().eq_ignore_ascii_case(name)) {
                continue;
            }
            depth = if closes { depth.saturating_sub(1) } else { depth + 1 };
            markup.depth = markup.depth.max(depth);
        }
        markup
    }
}

fn memchr_all(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'<').map(|(at, _)| at)
}

fn tag_name(bytes: &[u8]) -> &[u8] {
    let ends = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'-';
    let length = bytes.iter().position(ends).unwrap_or(bytes.len());
    if bytes.first().is_some_and(u8::is_ascii_alphabetic) { &bytes[..length] } else { &[] }
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

/// The text of the first `<title>` of the page itself: drawings have titles too, further down.
fn title_of(root: &Handle) -> Option<String> {
    let html = child_elements(root).next()?;
    let head = child_elements(&html).find(|node| is_element(node, local_name!("head")))?;
    let title = child_elements(&head).find(|node| is_element(node, local_name!("title")))?;
    let mut text = String::new();
    for child in title.children.borrow().iter() {
        if let NodeData::Text { contents } = &child.data {
            text.push_str(&contents.borrow());
        }
    }
    Some(label::plain(&text, TITLE_CHARACTERS)).filter(|title| !title.is_empty())
}

fn child_elements(node: &Handle) -> impl Iterator<Item = Handle> + use<> {
    let children = node.children.borrow().clone();
    children.into_iter().filter(|child| matches!(child.data, NodeData::Element { .. }))
}

fn is_element(node: &Handle, wanted: html5ever::LocalName) -> bool {
    matches!(&node.data, NodeData::Element { name, .. } if name.local == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_markdown_without_scripts_and_styles() {
        let html = "<html><head><title> Visit\n us </title><style>b{}</style></head><body><h1>Opening</h1>\
            <script>alert(1)</script><p>Open <b>daily</b>.</p><ul><li>a<li>b</ul><template>t</template></body></html>";
        let page = to_markdown(html.to_owned()).expect("a plain page converts");
        assert_eq!(page.title.as_deref(), Some("Visit us"));
        assert_eq!(page.markdown, "# Opening\n\nOpen **daily**.\n\n*   a\n*   b");
    }

    #[test]
    fn deep_pages_are_refused_whatever_makes_them_deep() {
        let plain = "<div>".repeat(10_000);
        // Closing tags that the parser ignores: only the tree itself shows how deep this is.
        let hidden = "<div><object></div></object>".repeat(10_000);
        for html in [plain, hidden] {
            let reason = to_markdown(html).expect_err("deep pages are refused");
            assert!(reason.contains("512"), "{reason}");
        }
    }

    #[test]
    fn the_deepest_page_that_is_accepted_converts() {
        let depth = MAX_DEPTH - 8;
        let page = to_markdown(format!("{}deep{}", "<div>".repeat(depth), "</div>".repeat(depth)));
        assert_eq!(page.expect("within the limit").markdown, "deep");
        let page = to_markdown(format!("{}deep", "<blockquote>".repeat(depth)));
        assert!(page.expect("within the limit").markdown.contains("deep"));
    }

    #[test]
    fn a_long_page_of_unclosed_paragraphs_is_not_deep() {
        let page = to_markdown("<p>word<br>".repeat(5_000)).expect("flat pages convert");
        assert_eq!(page.markdown.matches("word").count(), 5_000);
    }

    #[test]
    fn pages_of_too_many_elements_are_refused() {
        assert!(to_markdown("<p>".repeat(MAX_ELEMENTS + 1)).is_err());
    }
}
