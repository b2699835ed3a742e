//! What the timings pane shows: which answer, how far the one under way has come, and what was measured of `full`.

use std::time::Duration;

use super::{
    app::{App, Effect},
    entry::{Entry, Turn},
    full_cost::{Compared, FullCost, Unknown, full_cost},
    keys::TimingsAction,
    rate::Rate,
    view::timings_overflow,
};
use crate::engine::{CacheOrigin, Event, Outcome, RequestId};

/// Answers that the pane lists.
pub const LISTED_ANSWERS: usize = 20;

#[derive(Debug, Clone, Default)]
pub struct TimingsPane {
    /// The entry of the answer that is shown; the newest where `None`.
    pub selected: Option<usize>,
    /// The first visible row.
    pub top: usize,
    /// The answer under way.
    pub live: Option<Live>,
    /// What comparisons of this session measured of `full`.
    compared: Vec<Compared>,
}

/// When the answer under way came how far, as the screen was told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    id: RequestId,
    pub retrieved: Option<Duration>,
    pub loaded: Option<Duration>,
    /// Chunks were encoded in the time of loading.
    pub encoded: bool,
    pub prefilled: Option<Duration>,
    pub first_token: Option<Duration>,
    /// Pieces of text that came: about as many as tokens.
    pub pieces: u64,
    pub rate: Rate,
}

impl Live {
    fn take_in(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Retrieved { .. } => self.retrieved = Some(now),
            Event::Loaded { origins, .. } => {
                self.loaded = Some(now);
                let is_encoded = |origin| matches!(origin, &CacheOrigin::Encoded | &CacheOrigin::Repaired);
                self.encoded = origins.iter().any(is_encoded);
            }
            Event::Prefilled { .. } => self.prefilled = Some(now),
            Event::Token { .. } => {
                self.first_token.get_or_insert(now);
                self.pieces += 1;
                self.rate.report(now, self.pieces);
            }
            _ => {}
        }
    }
}

impl App {
    /// Takes note of what the timings pane shows of an event.
    pub(super) fn follow_timings(&mut self, event: &Event) {
        match event {
            Event::Retrieved { id, .. }
            | Event::Loaded { id, .. }
            | Event::Prefilled { id, .. }
            | Event::Token { id, .. } => {
                let running = self.turns().next_back().filter(|(_, turn)| turn.is_running());
                if running.is_none_or(|(_, turn)| turn.id != Some(*id)) {
                    return;
                }
                let now = self.now;
                let live = self.timings.live.take().filter(|live| live.id == *id);
                let mut live = live.unwrap_or_else(|| Live { id: *id, ..Live::default() });
                live.take_in(event, now);
                self.timings.live = Some(live);
            }
            Event::Measured { answer, .. } => self.timings.compared.extend(Compared::of_run(answer)),
            Event::Done { outcome: Outcome::Comparison(comparison), .. } => {
                self.timings.compared.extend(Compared::of(comparison));
            }
            _ => {}
        }
    }

    /// How far the answer under way has come; `None` until there is something to be told of it.
    pub(super) fn live_timings(&self) -> Option<&Live> {
        let (_, turn) = self.turns().next_back().filter(|(_, turn)| turn.is_running())?;
        self.timings.live.as_ref().filter(|live| turn.id == Some(live.id))
    }

    pub(super) fn perform_timings(&mut self, action: TimingsAction) -> Vec<Effect> {
        match action {
            TimingsAction::Newer => self.select_answer(-1),
            TimingsAction::Older => self.select_answer(1),
            TimingsAction::Newest => self.timings.selected = None,
            TimingsAction::Oldest => self.select_answer(LISTED_ANSWERS as isize),
            TimingsAction::PageUp => self.scroll_timings(-1),
            TimingsAction::PageDown => self.scroll_timings(1),
        }
        Vec::new()
    }

    /// The last answers with their entries' numbers, the newest first.
    pub(super) fn listed_answers(&self) -> impl Iterator<Item = (usize, &Turn)> {
        self.turns().rev().take(LISTED_ANSWERS)
    }

    /// The answer that the timings pane shows, with its entry's number.
    pub(super) fn timed_answer(&self) -> Option<(usize, &Turn)> {
        let selected = self.timings.selected.and_then(|index| match self.transcript.entries().get(index) {
            Some(Entry::Turn(turn)) => Some((index, turn.as_ref())),
            _ => None,
        });
        selected.or_else(|| self.turns().next_back())
    }

    /// What `full` would have cost for this question, or why that is not known.
    pub(super) fn cost_of_full(&self, turn: &Turn) -> Result<FullCost, Unknown> {
        let turns = self.transcript.entries().iter().filter_map(|entry| match entry {
            Entry::Turn(turn) => Some(turn.as_ref()),
            Entry::Note(_) | Entry::Divider(_) => None,
        });
        full_cost(turn, turns, &self.timings.compared, self.status.as_ref())
    }

    fn select_answer(&mut self, step: isize) {
        let shown = self.timed_answer().map(|(index, _)| index);
        let listed: Vec<usize> = self.listed_answers().map(|(index, _)| index).collect();
        let Some(last) = listed.len().checked_sub(1) else { return };
        let place = listed.iter().position(|index| Some(*index) == shown).unwrap_or(0);
        let place = place.saturating_add_signed(step).min(last);
        // The newest is whatever is the newest by then.
        self.timings.selected = (place > 0).then(|| listed[place]);
    }

    fn scroll_timings(&mut self, pages: isize) {
        let Some(pane) = self.panes().and_then(|panes| panes.timings) else { return };
        let page = usize::from(pane.height).saturating_sub(1).max(1) as isize;
        self.scroll_timings_by(pages * page);
    }

    pub(super) fn scroll_timings_by(&mut self, rows: isize) {
        let Some(pane) = self.panes().and_then(|panes| panes.timings) else { return };
        let most = timings_overflow(self, pane);
        self.timings.top = self.timings.top.min(most).saturating_add_signed(rows).min(most);
    }
}
