//! The coded forms of a stored response (`compress`): made of its body once, when a client wants one, and kept beside it. A
//! form lives and dies with the entry that it was made of: a purge of that one is a purge of the form, and a new answer
//! that takes its place leaves no form of the old behind.

use super::entry::{Entry, rounded};
use crate::semantics::coding::Coding;
use once_cell::race::OnceBox;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// See the head of this file. Of most entries there are none, which costs a word.
#[derive(Debug, Default)]
pub struct Forms(OnceBox<State>);

#[derive(Debug, Default)]
struct State {
    /// Set where the entry is itself a form.
    coding: Option<Coding>,
    slots: [Slot; Coding::ALL.len()],
}

#[derive(Debug, Default)]
struct Slot {
    /// `None` once it is known to be no smaller than the plain form.
    form: OnceLock<Option<Arc<Entry>>>,
    /// Somebody is making it.
    making: AtomicBool,
}

/// What there is of one form.
#[derive(Clone, Copy, Debug)]
pub enum Form<'e> {
    Missing,
    Made(&'e Arc<Entry>),
    /// It would be no smaller than the plain form.
    Useless,
}

impl Forms {
    /// Of an entry that is itself a form, and has none.
    pub(super) fn of(coding: Coding) -> Self {
        Self(OnceBox::with_value(Box::new(State { coding: Some(coding), ..State::default() })))
    }

    /// The coding of an entry that is a form.
    pub fn coding(&self) -> Option<Coding> {
        self.0.get()?.coding
    }

    pub fn get(&self, coding: Coding) -> Form<'_> {
        let slot = self.0.get().map(|state| slot(state, coding));
        match slot.and_then(|slot| slot.form.get()) {
            None => Form::Missing,
            Some(None) => Form::Useless,
            Some(Some(form)) => Form::Made(form),
        }
    }

    /// Whether the caller is the one that may make this form now; released by [`Forms::end`].
    pub fn begin(&self, coding: Coding) -> bool {
        let slot = slot(self.0.get_or_init(Box::default), coding);
        !slot.making.swap(true, Ordering::AcqRel) && slot.form.get().is_none()
    }

    pub fn end(&self, coding: Coding) {
        if let Some(state) = self.0.get() {
            slot(state, coding).making.store(false, Ordering::Release);
        }
    }

    /// Puts a form in its place, `None` for one that is of no use. The first one stays.
    pub fn put(&self, coding: Coding, form: Option<Arc<Entry>>) {
        let _ = slot(self.0.get_or_init(Box::default), coding).form.set(form);
    }

    /// Bytes that the forms are charged with.
    pub fn weight(&self) -> u64 {
        let form = |coding: Coding| match self.get(coding) {
            Form::Made(form) => form.weight(),
            Form::Missing | Form::Useless => 0,
        };
        let own = self.0.get().map_or(0, |_| rounded(size_of::<State>()) as u64);
        if own == 0 { 0 } else { own + Coding::ALL.into_iter().map(form).sum::<u64>() }
    }
}

fn slot(state: &State, coding: Coding) -> &Slot {
    let [zstd, brotli, gzip] = &state.slots;
    match coding {
        Coding::Zstd => zstd,
        Coding::Brotli => brotli,
        Coding::Gzip => gzip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_makes_a_form_and_nobody_one_that_is_there() {
        let forms = Forms::default();
        assert!(forms.begin(Coding::Gzip) && !forms.begin(Coding::Gzip));
        assert!(forms.begin(Coding::Brotli), "another form");
        forms.end(Coding::Gzip);
        assert!(forms.begin(Coding::Gzip));
        forms.put(Coding::Gzip, None);
        forms.end(Coding::Gzip);
        assert!(!forms.begin(Coding::Gzip));
        assert!(matches!(forms.get(Coding::Gzip), Form::Useless));
        assert!(matches!(forms.get(Coding::Brotli), Form::Missing));
        assert_eq!(forms.weight(), rounded(size_of::<State>()) as u64, "its own room");
        assert_eq!(Forms::default().weight(), 0);
    }
}
