//! The terminal: taken over, drawn on, and given back as it was, whatever ends the show: a key, a signal, an error, a panic.

use super::app::{App, Then};
use super::feed::Update;
use super::view;
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::crossterm::event::{self, Event};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Keys that wait.
const KEYS: usize = 16;

/// Gives the terminal back when it goes; a panic has given it back before that, so that its message can be read.
struct Taken;

impl Drop for Taken {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the figures until somebody has seen enough.
///
/// # Errors
/// No terminal, or one that can't be read or written any more.
pub async fn live(app: &mut App, updates: mpsc::Receiver<Update>) -> io::Result<()> {
    // Before the terminal is taken, so that no signal falls in between.
    let stop = stopped()?;
    let taken = Taken;
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, app, updates, keys(), stop).await;
    drop(taken);
    shown
}

/// Somebody ends us from outside.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// What is typed, read by a thread of its own, which ends with the process: reading can't be called off.
fn keys() -> mpsc::Receiver<io::Result<Event>> {
    let (typed, keys) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        loop {
            let event = event::read();
            let failed = event.is_err();
            if typed.blocking_send(event).is_err() || failed {
                return;
            }
        }
    });
    keys
}

async fn show<B>(
    terminal: &mut Terminal<B>,
    app: &mut App,
    mut updates: mpsc::Receiver<Update>,
    mut keys: mpsc::Receiver<io::Result<Event>>,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    B: Backend<Error: std::fmt::Display>,
{
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await; // the first comes at once
    tokio::pin!(stop);
    loop {
        terminal.draw(|frame| view::draw(frame, app)).map_err(|error| io::Error::other(error.to_string()))?;
        tokio::select! {
            update = updates.recv() => match update {
                Some(update) => app.update(update),
                None => return Err(io::Error::other("the stream of figures has ended")),
            },
            event = keys.recv() => match event {
                Some(Ok(event)) => if app.event(&event) == Then::Leave { return Ok(()) },
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            _ = ticks.tick() => app.tick(),
            () = &mut stop => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{status, text};
    use super::super::view::theme::Theme;
    use super::*;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};
    use std::future::pending;

    /// Runs the show over these updates and then this key; what stood there at the end.
    async fn shown(updates: Vec<Update>, key: KeyCode) -> String {
        let mut app = App::new("h:1".to_owned(), Theme::Plain);
        app.update(Update::Snapshot(Box::new(status(1))));
        let (sender, receiver) = mpsc::channel(1);
        let (typed, keys) = mpsc::channel(1);
        let feed = async move {
            for update in updates {
                sender.send(update).await.unwrap();
            }
            // What is sent has been taken when there is place for more.
            let _place = sender.reserve().await.unwrap();
            let event = Event::Key(KeyEvent::from(key));
            typed.send(Ok(event)).await.unwrap();
            pending::<()>().await;
        };
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        tokio::select! {
            ended = show(&mut terminal, &mut app, receiver, keys, pending()) => ended.unwrap(),
            () = feed => {}
        }
        text(terminal.backend())
    }

    #[tokio::test]
    async fn a_server_that_goes_away_is_told_and_one_that_comes_back_is_shown() {
        let lost = || Update::Lost { why: "no connection to h:1".to_owned(), again: Duration::from_secs(2) };
        let text = shown(vec![lost()], KeyCode::Char('q')).await;
        assert!(text.contains("no connection to h:1") && text.contains("trying again in 2 s"), "{text}");
        let text = shown(vec![lost(), Update::Snapshot(Box::new(status(9)))], KeyCode::Esc).await;
        assert!(!text.contains("no connection") && text.contains("live"), "{text}");
    }

    #[tokio::test]
    async fn it_ends_by_a_signal_and_by_a_terminal_that_is_gone() {
        let mut app = App::new("h:1".to_owned(), Theme::Plain);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let (_updates, receiver) = mpsc::channel(1);
        let (_typed, keys) = mpsc::channel(1);
        show(&mut terminal, &mut app, receiver, keys, std::future::ready(())).await.unwrap();
        let (_updates, receiver) = mpsc::channel(1);
        let (typed, keys) = mpsc::channel(1);
        typed.send(Err(io::Error::other("gone"))).await.unwrap();
        let ended = show(&mut terminal, &mut app, receiver, keys, pending()).await;
        assert_eq!(ended.unwrap_err().to_string(), "gone");
    }
}
