//! A list that typing narrows: a text field, and under it what matches, the best first.
//!
//! It is the same for commands, files, code and themes. Whoever opens one keeps what each choice stands for, in the
//! order of the choices; [`Chooser::chosen`] is an index into that.

mod search;

use crossterm::event::KeyEvent;
use ratatui::layout::{Position, Rect, Size};

use super::field::Field;
use search::{Letters, Search};

/// The widest that the card gets.
const WIDEST: u16 = 84;
/// The most choices that are shown at once.
const MOST_ROWS: usize = 20;

/// Something that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// What typed letters are looked for in.
    pub text: String,
    /// Shown muted after the text.
    pub note: String,
    /// Shown at the right, as a key's name is.
    pub key: String,
    /// Other words under which it is found; not shown.
    pub keywords: String,
}

/// A choice that matches what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The number of the choice.
    pub choice: usize,
    /// The numbers of the letters (graphemes) of its text that were typed, in order.
    pub letters: Vec<u32>,
}

/// A text field and the choices that match what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chooser {
    pub title: String,
    /// Shown while nothing has been typed.
    pub placeholder: String,
    /// Shown where nothing matches.
    pub nothing: String,
    pub field: Field,
    choices: Vec<Choice>,
    /// The numbers of the choices that match, the best first.
    shown: Vec<usize>,
    /// What is still to be looked through for the text in the field.
    search: Option<Search>,
    /// What `shown` was found for.
    found_for: String,
    /// The number of the selected one among those shown.
    selected: usize,
    /// The number of the first visible one among those shown.
    top: usize,
}

/// Where the parts of a chooser are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChooserPlaces {
    pub card: Rect,
    pub field: Rect,
    pub list: Rect,
}

impl Choice {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }

    #[must_use]
    pub fn keywords(self, keywords: impl Into<String>) -> Self {
        Self { keywords: keywords.into(), ..self }
    }
}

impl Chooser {
    /// A chooser with nothing typed; the first choice is selected.
    pub fn new(title: impl Into<String>, placeholder: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self {
            title: title.into(),
            placeholder: placeholder.into(),
            nothing: "Nothing matches.".to_owned(),
            field: Field::default(),
            shown: (0..choices.len()).collect(),
            choices,
            search: None,
            found_for: String::new(),
            selected: 0,
            top: 0,
        }
    }

    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// Puts other choices under what was typed. The selection stays where it is as far as it can.
    pub fn set_choices(&mut self, choices: Vec<Choice>) {
        self.choices = choices;
        self.shown = (0..self.choices.len()).collect();
        self.found_for = String::new();
        let selected = self.selected;
        self.narrow();
        self.select(selected);
    }

    /// Gives the key to the field; true where the text has changed, and with it what is shown.
    pub fn key(&mut self, event: KeyEvent) -> bool {
        let changed = self.field.key(event);
        if changed {
            self.narrow();
        }
        changed
    }

    pub fn paste(&mut self, text: &str) {
        self.field.paste(text);
        self.narrow();
    }

    /// The numbers of the choices that match, the best first, as far as they have been looked through.
    pub fn shown(&self) -> &[usize] {
        &self.shown
    }

    /// At most `rows` of those shown, from the first visible one on.
    pub fn visible(&self, rows: usize) -> Vec<Match> {
        let mut letters = Letters::new(self.field.text());
        let visible = self.shown.iter().skip(self.top).take(rows);
        visible.map(|choice| Match { choice: *choice, letters: letters.of(&self.choices[*choice]) }).collect()
    }

    /// Not every choice has been looked through for what was typed.
    pub fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// Looks through the next of the choices.
    pub fn go_on(&mut self) {
        let Some(mut search) = self.search.take() else { return };
        let is_done = search.look_through(&self.choices);
        self.shown = search.found();
        self.select(self.selected);
        match is_done {
            true => self.found_for = search.into_typed(),
            false => self.search = Some(search),
        }
    }

    /// Looks through all that is left.
    pub fn finish(&mut self) {
        while self.is_searching() {
            self.go_on();
        }
    }

    /// The number of the selected one among those shown; of no meaning where none is shown.
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// The number of the first visible one among those shown.
    pub fn top(&self) -> usize {
        self.top
    }

    /// The number of the selected choice, as they were given; `None` where nothing matches.
    pub fn chosen(&self) -> Option<usize> {
        self.shown.get(self.selected).copied()
    }

    /// Selects the choice with this number, as they were given, where it is shown.
    pub fn choose(&mut self, choice: usize) {
        if let Some(index) = self.shown.iter().position(|shown| *shown == choice) {
            self.select(index);
        }
    }

    /// Selects one of those shown by its number among them; the last where there are fewer.
    pub fn select(&mut self, index: usize) {
        self.selected = index.min(self.shown.len().saturating_sub(1));
    }

    /// Selects the one `step` further down.
    pub fn step(&mut self, step: isize) {
        self.select(self.selected.saturating_add_signed(step));
    }

    /// Selects the one a screenful further down; up where `pages` is negative.
    pub fn step_pages(&mut self, pages: isize, screen: Size) {
        let rows = isize::try_from(self.places(screen).list.height).unwrap_or(isize::MAX);
        self.step(pages.saturating_mul((rows - 1).max(1)));
    }

    /// Scrolls so that the selected one is visible.
    pub fn keep_in_view(&mut self, screen: Size) {
        let rows = usize::from(self.places(screen).list.height).max(1);
        let last = self.shown.len().saturating_sub(rows);
        self.top = self.top.clamp((self.selected + 1).saturating_sub(rows), self.selected).min(last);
    }

    /// Where everything is on a screen of this size. The height depends on how many choices there are, not on how
    /// many match, so that the card does not jump while one types.
    pub fn places(&self, screen: Size) -> ChooserPlaces {
        // Frame, field and the line under it; the footer stays visible.
        let around = 4;
        let free = screen.height.saturating_sub(1);
        let rows = self.choices.len().clamp(1, MOST_ROWS) as u16;
        let height = (rows + around).min(free);
        // All of a narrow screen: of what is behind the card, a column at each side would say nothing.
        let width = if screen.width < WIDEST { screen.width } else { WIDEST };
        let card = Rect { x: (screen.width - width) / 2, y: free.saturating_sub(height) / 3, width, height };
        let inside = Rect {
            x: card.x + 2.min(width),
            width: width.saturating_sub(4),
            y: card.y + 1.min(height),
            height: 1,
        };
        ChooserPlaces {
            card,
            field: inside.intersection(card),
            list: Rect { y: inside.y + 2, height: height.saturating_sub(around), ..inside }
                .intersection(card),
        }
    }

    /// The number among those shown of the one that is drawn at `position`.
    pub fn at(&self, position: Position, screen: Size) -> Option<usize> {
        let list = self.places(screen).list;
        // The rows reach from frame to frame.
        let row = Rect { x: list.x.saturating_sub(1), width: list.width + 2, ..list };
        let index = self.top + usize::from(position.y.checked_sub(list.y)?);
        (row.contains(position) && index < self.shown.len()).then_some(index)
    }

    /// Begins to find what matches the text in the field, and selects the best. Few choices are looked through at
    /// once; of many, the rest is left to [`Self::go_on`]. What lengthens the text before is looked for only in what
    /// was found for that.
    fn narrow(&mut self) {
        self.selected = 0;
        self.top = 0;
        let typed = self.field.text();
        if typed.trim().is_empty() {
            self.shown = (0..self.choices.len()).collect();
            self.search = None;
            self.found_for = String::new();
            return;
        }
        let narrows = self.search.is_none() && search::narrows(&self.found_for, typed);
        let candidates = match narrows {
            true => std::mem::take(&mut self.shown),
            false => (0..self.choices.len()).collect(),
        };
        self.search = Some(Search::new(typed, candidates));
        self.go_on();
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;
    use proptest::prelude::*;

    use super::*;

    const SCREEN: Size = Size { width: 80, height: 24 };

    fn chooser(texts: &[&str]) -> Chooser {
        let choices = texts.iter().map(|text| Choice::new(*text)).collect();
        Chooser::new("Title", "Type", choices)
    }

    fn typed(mut chooser: Chooser, text: &str) -> Chooser {
        for character in text.chars() {
            chooser.key(KeyCode::Char(character).into());
        }
        chooser
    }

    fn texts(chooser: &Chooser) -> Vec<&str> {
        chooser.shown().iter().map(|choice| chooser.choices()[*choice].text.as_str()).collect()
    }

    #[test]
    fn typing_narrows_and_says_which_letters_matched() {
        let chooser = typed(chooser(&["Open the log", "The next pane", "Choose a theme"]), "log");
        assert_eq!(texts(&chooser), ["Open the log"]);
        assert_eq!(chooser.visible(9), [Match { choice: 0, letters: vec![9, 10, 11] }]);
        assert_eq!(chooser.chosen(), Some(0));
        let nothing = typed(chooser, "xyz");
        assert_eq!((nothing.chosen(), nothing.shown().len()), (None, 0));
    }

    #[test]
    fn a_match_in_the_text_comes_before_one_in_the_keywords() {
        let choices = vec![Choice::new("The record").keywords("log"), Choice::new("A long game")];
        let chooser = typed(Chooser::new("", "", choices), "log");
        assert_eq!(texts(&chooser), ["A long game", "The record"]);
    }

    #[test]
    fn the_selection_stays_in_the_list_and_in_view() {
        let names: Vec<String> = (0..60).map(|number| format!("choice {number}")).collect();
        let mut chooser = chooser(&names.iter().map(String::as_str).collect::<Vec<_>>());
        chooser.step(-1);
        assert_eq!(chooser.chosen(), Some(0));
        chooser.step_pages(1, SCREEN);
        chooser.keep_in_view(SCREEN);
        let rows = usize::from(chooser.places(SCREEN).list.height);
        assert_eq!((chooser.chosen(), chooser.top()), (Some(rows - 1), 0));
        chooser.step(1000);
        chooser.keep_in_view(SCREEN);
        assert_eq!((chooser.chosen(), chooser.top()), (Some(59), 60 - rows));
        chooser.key(KeyCode::Char('7').into());
        assert_eq!(chooser.chosen(), Some(7));
    }

    #[test]
    fn other_choices_are_narrowed_by_what_was_typed() {
        let mut chooser = typed(chooser(&["one", "two"]), "t");
        assert_eq!(texts(&chooser), ["two"]);
        chooser.set_choices(vec![Choice::new("one"), Choice::new("three"), Choice::new("two")]);
        assert_eq!((texts(&chooser).len(), chooser.chosen().is_some()), (2, true));
    }

    /// More choices than are looked through at once.
    fn many() -> Chooser {
        let names =
            (0..30_000).map(|number| Choice::new(format!("folder {}/file {number}.md", number % 100)));
        Chooser::new("", "", names.collect())
    }

    #[test]
    fn many_choices_are_looked_through_in_several_steps() {
        let mut chooser = typed(many(), "file 29999");
        assert!(chooser.is_searching());
        chooser.finish();
        assert!(!chooser.is_searching());
        assert_eq!(texts(&chooser)[0], "folder 99/file 29999.md");
        // The next letter is looked for in what has been found, which is little.
        chooser.key(KeyCode::Char('.').into());
        assert!(!chooser.is_searching());
        assert_eq!(chooser.chosen(), Some(29_999));
        chooser.key(KeyCode::Backspace.into());
        assert!(chooser.is_searching(), "fewer letters match more");
    }

    #[test]
    fn narrowing_finds_what_looking_through_all_of_it_finds() {
        for text in ["f1", "f1 2", "29 f", "!file", "f !1", "^folder 1", "md$ 12", "'file 3", "Fo", "fo\\ 3"]
        {
            let mut whole = many();
            whole.paste(text);
            whole.finish();
            let mut stepwise = many();
            for character in text.chars() {
                stepwise.key(KeyCode::Char(character).into());
                stepwise.finish();
            }
            assert_eq!(stepwise.shown(), whole.shown(), "{text}");
        }
    }

    #[test]
    fn a_row_is_found_where_it_is_drawn() {
        let chooser = chooser(&["one", "two"]);
        let list = chooser.places(SCREEN).list;
        assert_eq!(chooser.at(Position { x: list.x, y: list.y + 1 }, SCREEN), Some(1));
        assert_eq!(chooser.at(Position { x: list.x, y: list.y + 2 }, SCREEN), None);
        assert_eq!(chooser.at(Position { x: list.x, y: list.y - 1 }, SCREEN), None);
        assert_eq!(chooser.at(Position { x: 0, y: list.y }, SCREEN), None);
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(11), ..Default::default() })]

        #[test]
        fn everything_is_on_the_screen(width in 0u16..250, height in 0u16..100, choices in 0usize..50) {
            let screen = Size { width, height };
            let chooser = Chooser::new("", "", vec![Choice::new("one"); choices]);
            let places = chooser.places(screen);
            let all = Rect::new(0, 0, width, height);
            for part in [places.card, places.field, places.list] {
                prop_assert_eq!(part.intersection(all), part);
            }
        }

        #[test]
        fn letters_are_letters_of_the_text(text in ".{0,40}", typed in ".{0,6}") {
            let mut chooser = Chooser::new("", "", vec![Choice::new(text.clone())]);
            chooser.paste(&typed);
            let graphemes = unicode_segmentation::UnicodeSegmentation::graphemes(text.as_str(), true).count();
            for shown in chooser.visible(9) {
                prop_assert!(shown.letters.iter().all(|letter| (*letter as usize) < graphemes));
                prop_assert!(shown.letters.is_sorted());
            }
        }
    }
}
