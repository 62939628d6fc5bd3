//! Colours, by meaning. The sixteen that every terminal's owner has chosen for themselves; none at all where `NO_COLOR` asks
//! for that. Nothing is told by colour alone.

use ratatui::style::{Color, Modifier, Style};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Colour,
    Plain,
}

/// What a text or a line in a chart means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Text,
    /// A figure, or a title.
    Strong,
    /// A label, a note.
    Quiet,
    Accent,
    Good,
    Fair,
    Bad,
}

impl Theme {
    /// `NO_COLOR`, when set to anything (no-color.org).
    pub fn of_environment() -> Self {
        Self::by(std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()))
    }

    const fn by(no_colour: bool) -> Self {
        if no_colour { Self::Plain } else { Self::Colour }
    }

    pub fn style(self, tone: Tone) -> Style {
        let plain = match tone {
            Tone::Text | Tone::Accent | Tone::Good => Style::new(),
            Tone::Strong | Tone::Fair => Style::new().add_modifier(Modifier::BOLD),
            Tone::Quiet => Style::new().add_modifier(Modifier::DIM),
            Tone::Bad => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
        };
        let colour = match tone {
            Tone::Text | Tone::Strong | Tone::Quiet => return plain,
            Tone::Accent => Color::Cyan,
            Tone::Good => Color::Green,
            Tone::Fair => Color::Yellow,
            Tone::Bad => Color::Red,
        };
        match self {
            Self::Colour => Style::new().fg(colour),
            Self::Plain => plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_what_is_bad_still_stands_out() {
        assert_eq!((Theme::by(true), Theme::by(false)), (Theme::Plain, Theme::Colour));
        for tone in [Tone::Accent, Tone::Good, Tone::Fair, Tone::Bad, Tone::Quiet, Tone::Strong] {
            assert_eq!(Theme::Plain.style(tone).fg, None, "{tone:?}");
        }
        assert_ne!(Theme::Plain.style(Tone::Bad), Theme::Plain.style(Tone::Text));
    }
}
