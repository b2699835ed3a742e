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

/// The part of the chat that has the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Focus {
    #[default]
    Input,
    Conversation,
    Sources,
    Timings,
}

/// A pane beside the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    #[default]
    Sources,
    Timings,
}

impl Focus {
    const ALL: [Self; 4] = [Self::Input, Self::Conversation, Self::Sources, Self::Timings];

    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    pub fn previous(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }
}

/// The parts of the chat. A pane that is not shown is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panes {
    pub header: Rect,
    /// The names of the panes, where only one of them is shown.
    pub tabs: Option<Rect>,
    /// The conversation's text, without margins.
    pub conversation: Option<Rect>,
    /// The lines between panes.
    pub dividers: [Option<Rect>; 2],
    /// The sources' text, without margins.
    pub sources: Option<Rect>,
    /// The timings' text, without margins.
    pub timings: Option<Rect>,
    pub input: Rect,
    pub footer: Rect,
}

impl Panes {
    /// The parts of a screen of this size with a question of `input_rows` rows; `None` where it is too small.
    pub fn of(size: Size, focus: Focus, side: Side, input_rows: usize) -> Option<Self> {
        if size.width < SMALLEST.width || size.height < SMALLEST.height {
            return None;
        }
        let tabbed = size.width < SIDE_PANE_WIDTH;
        let most = usize::from(size.height / 4).clamp(1, 8);
        let input_height = input_rows.clamp(1, most) as u16 + 2;
        let footer = Rect::new(0, size.height - 1, size.width, 1);
        let input = Rect::new(0, footer.y - input_height, size.width, input_height);
        let header = Rect::new(0, 0, size.width, 1);
        let tabs = Rect { y: header.bottom(), height: tabbed.into(), ..header };
        let top = tabs.bottom() + gap(size);
        let body = Rect { y: top, height: input.y - top, ..header };
        let mut panes = Self {
            header,
            tabs: tabbed.then_some(tabs),
            conversation: None,
            dividers: [None; 2],
            sources: None,
            timings: None,
            input,
            footer,
        };
        if tabbed {
            match focus {
                Focus::Input | Focus::Conversation => panes.conversation = Some(text(body)),
                Focus::Sources => panes.sources = Some(text(body)),
                Focus::Timings => panes.timings = Some(text(body)),
            }
        } else if size.width >= WIDE_WIDTH {
            // Half for the conversation; of the other half, three parts for the sources and two for the timings.
            let (conversation, divider, rest) = split(body, body.width / 2);
            let (sources, second, timings) = split(rest, rest.width * 3 / 5);
            panes.conversation = Some(text(conversation));
            panes.sources = Some(text(sources));
            panes.timings = Some(text(timings));
            panes.dividers = [Some(divider), Some(second)];
        } else {
            // Three parts for the conversation, two for the pane beside it.
            let (conversation, divider, beside) = split(body, body.width * 3 / 5);
            panes.conversation = Some(text(conversation));
            panes.dividers[0] = Some(divider);
            match side {
                Side::Sources => panes.sources = Some(text(beside)),
                Side::Timings => panes.timings = Some(text(beside)),
            }
        }
        Some(panes)
    }

    /// The part of the screen that a view other than the chat has, without margins.
    pub fn body(size: Size) -> Rect {
        let top = 1 + gap(size);
        let height = size.height.saturating_sub(top + 1);
        Rect::new(MARGIN, top, size.width.saturating_sub(2 * MARGIN), height)
    }

    /// The columns that the question's text has in its box.
    pub fn input_columns(size: Size) -> usize {
        // Border, margin and prompt on the left; margin and border on the right.
        usize::from(size.width).saturating_sub(6).max(1)
    }
}

/// Where there is room, a blank row keeps header and tabs apart from the text.
fn gap(size: Size) -> u16 {
    u16::from(size.height >= 16)
}

/// The left `width` columns, a line, and the rest.
fn split(area: Rect, width: u16) -> (Rect, Rect, Rect) {
    let left = Rect { width, ..area };
    let line = Rect { x: left.right(), width: 1, ..area };
    (left, line, Rect { x: line.right(), width: area.right() - line.right(), ..area })
}

fn text(pane: Rect) -> Rect {
    let width = pane.width.saturating_sub(2 * MARGIN).min(WIDEST_TEXT);
    Rect { x: pane.x + MARGIN, width, ..pane }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panes(width: u16, height: u16, focus: Focus) -> Option<Panes> {
        Panes::of(Size { width, height }, focus, Side::Sources, 1)
    }

    #[test]
    fn the_width_decides_what_is_shown() {
        let shown = |width, focus| {
            let panes = panes(width, 30, focus).expect("large enough");
            let [conversation, sources, timings] =
                [panes.conversation, panes.sources, panes.timings].map(|pane| pane.is_some());
            (conversation, sources, timings, panes.tabs.is_some())
        };
        assert_eq!(shown(140, Focus::Input), (true, true, true, false));
        assert_eq!(shown(139, Focus::Input), (true, true, false, false));
        assert_eq!(shown(90, Focus::Sources), (true, true, false, false));
        assert_eq!(shown(89, Focus::Input), (true, false, false, true));
        assert_eq!(shown(40, Focus::Sources), (false, true, false, true));
        assert_eq!(shown(40, Focus::Timings), (false, false, true, true));
        let beside = Panes::of(Size { width: 100, height: 30 }, Focus::Input, Side::Timings, 1);
        assert!(beside.is_some_and(|panes| panes.timings.is_some() && panes.sources.is_none()));
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
                let panes = panes(width, height, Focus::Sources).expect("large enough");
                let screen = Rect::new(0, 0, width, height);
                let parts = [
                    Some(panes.header),
                    panes.tabs,
                    panes.conversation,
                    panes.sources,
                    panes.timings,
                    Some(panes.input),
                ];
                assert!(parts.iter().flatten().all(|part| screen.union(*part) == screen), "{width}x{height}");
                assert!(panes.conversation.or(panes.sources).is_some_and(|pane| pane.height > 0));
            }
        }
    }
}
