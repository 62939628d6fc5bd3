//! What is on the screen and why: the figures, whether they are held, whether the connection is lost. Keys and updates change
//! it; `view` draws it.

use super::feed::Update;
use super::history::History;
use super::view::theme::Theme;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The connection, where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub why: String,
    /// Seconds until the next attempt.
    pub again_s: u64,
}

#[derive(Debug)]
pub struct App {
    /// `host:port` of the admin listener.
    pub host: String,
    pub theme: Theme,
    pub help: bool,
    pub lost: Option<Lost>,
    /// Seconds since the newest snapshot.
    pub silent_s: u64,
    history: History,
    /// What is shown instead while the display is held.
    held: Option<History>,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    Leave,
}

impl App {
    pub fn new(host: String, theme: Theme) -> Self {
        let history = History::default();
        Self { host, theme, help: false, lost: None, silent_s: 0, history, held: None }
    }

    pub fn shown(&self) -> &History {
        self.held.as_ref().unwrap_or(&self.history)
    }

    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    pub fn update(&mut self, update: Update) {
        match update {
            Update::Snapshot(status) => {
                self.history.push(*status);
                self.lost = None;
                self.silent_s = 0;
            }
            Update::Lost { why, again } => {
                self.lost = Some(Lost { why, again_s: again.as_secs_f64().ceil().max(0.0) as u64 });
            }
        }
    }

    /// A second has passed.
    pub fn tick(&mut self) {
        self.silent_s += 1;
        if let Some(lost) = &mut self.lost {
            lost.again_s = lost.again_s.saturating_sub(1);
        }
    }

    pub fn event(&mut self, event: &Event) -> Then {
        match event {
            Event::Key(key) if key.kind == KeyEventKind::Press => self.key(*key),
            _ => Then::GoOn, // of a new size it is only drawn again
        }
    }

    fn key(&mut self, key: KeyEvent) -> Then {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            // In the raw mode of the terminal Ctrl-C is a key like others.
            KeyCode::Char('c' | 'd') if control => return Then::Leave,
            // It closes what is open first.
            KeyCode::Esc | KeyCode::Char('q') if self.help => self.help = false,
            KeyCode::Esc | KeyCode::Char('q') => return Then::Leave,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char('p' | ' ') => self.hold(),
            _ => {}
        }
        Then::GoOn
    }

    /// Holds what is shown, or goes on with what has come meanwhile.
    fn hold(&mut self) {
        self.held = match self.held {
            Some(_) => None,
            None => Some(self.history.clone()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::status;
    use super::*;
    use std::time::Duration;

    fn app() -> App {
        let mut app = App::new("h:1".to_owned(), Theme::Plain);
        app.update(Update::Snapshot(Box::new(status(1))));
        app
    }

    fn press(app: &mut App, code: KeyCode, modifiers: KeyModifiers) -> Then {
        app.event(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_leave_help_and_hold() {
        let mut app = app();
        let none = KeyModifiers::NONE;
        for (code, modifiers) in
            [(KeyCode::Char('q'), none), (KeyCode::Esc, none), (KeyCode::Char('c'), KeyModifiers::CONTROL)]
        {
            assert_eq!(press(&mut app, code, modifiers), Then::Leave, "{code}");
        }
        assert_eq!(press(&mut app, KeyCode::Char('c'), none), Then::GoOn);
        press(&mut app, KeyCode::Char('?'), none);
        assert!(app.help);
        assert_eq!(press(&mut app, KeyCode::Esc, none), Then::GoOn);
        assert!(!app.help, "the first ESC closes the help");
        press(&mut app, KeyCode::Char('p'), none);
        app.update(Update::Snapshot(Box::new(status(2))));
        assert_eq!(app.shown().last().unwrap().at_s, 1.0, "held");
        press(&mut app, KeyCode::Char('p'), none);
        assert_eq!(app.shown().last().unwrap().at_s, 2.0, "what came meanwhile is not lost");
    }

    #[test]
    fn a_lost_connection_is_told_until_it_is_back() {
        let mut app = app();
        app.update(Update::Lost { why: "no connection".to_owned(), again: Duration::from_secs(2) });
        app.tick();
        let lost = Lost { why: "no connection".to_owned(), again_s: 1 };
        assert_eq!((app.lost.as_ref(), app.silent_s), (Some(&lost), 1));
        app.tick();
        app.tick();
        assert_eq!(app.lost.as_ref().map(|lost| lost.again_s), Some(0));
        app.update(Update::Snapshot(Box::new(status(3))));
        assert_eq!((app.lost, app.silent_s), (None, 0));
    }
}
