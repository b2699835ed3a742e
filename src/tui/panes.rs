//! Which pane is where, at every size of the terminal.

use ratatui::layout::{Rect, Size};

/// A smaller terminal gets a card that says so.
pub const SMALLEST: Size = Size { width: 40, height: 10 };
/// From this width on there is room for a side pane.
const SIDE_PANE_WIDTH: u16 = 90;
/// From this width on the side pane is always open.
const WIDE_WIDTH: u16 = 140;
/// Cells on both sides of a pane's text.
const MARGIN: u16 = 1;
/// Longer lines of text are hard to read.
const WIDEST_TEXT: u16 = 104;

/// What has the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Focus {
    #[default]
    Input,
    Sources,
}

/// The parts of the screen. A pane that is not shown is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panes {
    pub header: Rect,
    /// The names of the panes, where only one of them is shown.
    pub tabs: Option<Rect>,
    /// The conversation's text, without margins.
    pub conversation: Option<Rect>,
    /// The line between conversation and sources.
    pub divider: Option<Rect>,
    /// The sources' text, without margins.
    pub sources: Option<Rect>,
    pub input: Rect,
    pub footer: Rect,
}

impl Panes {
    /// The parts of a screen of this size with a question of `input_rows` rows; `None` where it is too small.
    pub fn of(size: Size, focus: Focus, input_rows: usize) -> Option<Self> {
        if size.width < SMALLEST.width || size.height < SMALLEST.height {
            return None;
        }
        let tabbed = size.width < SIDE_PANE_WIDTH;
        let most = usize::from(size.height / 4).clamp(1, 8);
        let input_height = input_rows.clamp(1, most) as u16 + 2;
        // Where there is room, a blank row keeps header and tabs apart from the text.
        let gap = u16::from(size.height >= 16);
        let footer = Rect::new(0, size.height - 1, size.width, 1);
        let input = Rect::new(0, footer.y - input_height, size.width, input_height);
        let header = Rect::new(0, 0, size.width, 1);
        let tabs = Rect { y: header.bottom(), height: tabbed.into(), ..header };
        let top = tabs.bottom() + gap;
        let body = Rect { y: top, height: input.y - top, ..header };
        let mut panes = Self {
            header,
            tabs: tabbed.then_some(tabs),
            conversation: None,
            divider: None,
            sources: None,
            input,
            footer,
        };
        if tabbed {
            match focus {
                Focus::Input => panes.conversation = Some(text(body)),
                Focus::Sources => panes.sources = Some(text(body)),
            }
        } else if size.width >= WIDE_WIDTH || focus == Focus::Sources {
            // Three parts for the conversation, two for its sources.
            let conversation = Rect { width: (body.width - 1) * 3 / 5, ..body };
            let divider = Rect { x: conversation.right(), width: 1, ..body };
            let sources = Rect { x: divider.right(), width: body.right() - divider.right(), ..body };
            panes.conversation = Some(text(conversation));
            panes.divider = Some(divider);
            panes.sources = Some(text(sources));
        } else {
            panes.conversation = Some(text(body));
        }
        Some(panes)
    }

    /// The columns that the question's text has in its box.
    pub fn input_columns(size: Size) -> usize {
        // Border, margin and prompt on the left; margin and border on the right.
        usize::from(size.width).saturating_sub(6).max(1)
    }
}

fn text(pane: Rect) -> Rect {
    let width = pane.width.saturating_sub(2 * MARGIN).min(WIDEST_TEXT);
    Rect { x: pane.x + MARGIN, width, ..pane }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panes(width: u16, height: u16, focus: Focus) -> Option<Panes> {
        Panes::of(Size { width, height }, focus, 1)
    }

    #[test]
    fn the_width_decides_what_is_shown() {
        let shown = |width, focus| {
            let panes = panes(width, 30, focus).expect("large enough");
            (panes.conversation.is_some(), panes.sources.is_some(), panes.tabs.is_some())
        };
        assert_eq!(shown(140, Focus::Input), (true, true, false));
        assert_eq!(shown(139, Focus::Input), (true, false, false));
        assert_eq!(shown(90, Focus::Sources), (true, true, false));
        assert_eq!(shown(89, Focus::Input), (true, false, true));
        assert_eq!(shown(40, Focus::Sources), (false, true, true));
    }

    #[test]
    fn too_small_is_too_small() {
        assert!(panes(40, 10, Focus::Input).is_some());
        assert!(panes(39, 10, Focus::Input).is_none());
        assert!(panes(40, 9, Focus::Input).is_none());
        assert!(panes(0, 0, Focus::Input).is_none());
    }

    #[test]
    fn every_part_is_on_the_screen() {
        for width in 40..200 {
            for height in 10..60 {
                let panes = Panes::of(Size { width, height }, Focus::Sources, 30).expect("large enough");
                let screen = Rect::new(0, 0, width, height);
                let parts =
                    [Some(panes.header), panes.tabs, panes.conversation, panes.sources, Some(panes.input)];
                assert!(parts.iter().flatten().all(|part| screen.union(*part) == screen), "{width}x{height}");
                assert!(panes.conversation.or(panes.sources).is_some_and(|pane| pane.height > 0));
            }
        }
    }
}
