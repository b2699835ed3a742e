//! HTML pages as Markdown.
//!
//! The conversion recurses, so it runs on a stack of its own and only for pages within the limits of
//! [`html_parse`](super::html_parse).

use std::thread;

use html5ever::local_name;
use markup5ever_rcdom::{Handle, NodeData};

use super::{html_parse, label};

/// Bytes of stack for the conversion, a few times what the deepest page takes in a build without optimisation.
const STACK_BYTES: usize = 64 << 20;
/// The most characters of a page's title that are kept.
const TITLE_CHARACTERS: usize = 200;
/// What is in these is no text for readers. The head's title is read separately.
const SKIPPED: [&str; 8] = ["head", "script", "style", "noscript", "template", "svg", "iframe", "canvas"];
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
    let page = html_parse::parse(html)?;
    let converter = htmd::HtmlToMarkdown::builder().skip_tags(SKIPPED.to_vec()).build();
    let markdown = converter.tree_to_markdown(&page.document);
    Ok(Page { title: title_of(&page.document), markdown })
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
    use crate::corpus::html_parse::MAX_DEPTH;

    #[test]
    fn a_page_becomes_markdown_without_scripts_and_styles() {
        let html = "<html><head><title> Visit\n us </title><style>b{}</style></head><body><h1>Opening</h1>\
            <script>alert(1)</script><p>Open <b>daily</b>.</p><ul><li>a<li>b</ul><template>t</template></body></html>";
        let page = to_markdown(html.to_owned()).expect("a plain page converts");
        assert_eq!(page.title.as_deref(), Some("Visit us"));
        assert_eq!(page.markdown, "# Opening\n\nOpen **daily**.\n\n*   a\n*   b");
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
    fn formatting_left_open_does_not_multiply() {
        let open: String = (0..100).map(|size| format!("<font size={size}><b id=b{size}>")).collect();
        let page =
            to_markdown(format!("<p>{open}</p>{}", "<p>word</p>".repeat(20_000))).expect("within the limits");
        assert_eq!(page.markdown.matches("word").count(), 20_000);
        assert!(page.markdown.len() < 1_000_000, "{} bytes", page.markdown.len());
    }
}
