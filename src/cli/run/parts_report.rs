//! Reports on several networks that one run trains: a line as each ends, and a bar over all of them.
//!
//! In: events of each network, from several threads. Out: lines and a bar on standard error.
//! Absent on purpose: files; results, which are told when all networks are trained.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::report::{Console, duration};
use crate::shape::number;
use crate::train::{Event, Summary, Warning};

/// Words and numbers that name a network of several, such as trial 3 and fold 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartPlace(pub(crate) Vec<(&'static str, usize)>);

impl PartPlace {
    /// Returns the place for people: `trial 3, fold 1`.
    pub(crate) fn text(&self) -> String {
        let names: Vec<String> =
            self.0.iter().map(|(word, number)| format!("{word} {number}")).collect();
        names.join(", ")
    }

    /// Returns the place as a path: `trial-3/fold-1`.
    pub(crate) fn folder(&self) -> PathBuf {
        self.0.iter().map(|(word, number)| format!("{word}-{number}")).collect()
    }
}

/// Shared by the threads that train.
pub(crate) struct PartsReport {
    /// Word for one network, such as `member`.
    word: &'static str,
    /// Names of the networks.
    places: Vec<String>,
    state: Mutex<PartsState>,
}

struct PartsState {
    console: Console,
    started: Instant,
    /// Epochs that each network has done, with the share of the present one.
    epochs: Vec<f64>,
    /// Epochs of a network that does not stop early.
    all: f64,
    /// Epochs of all networks that were done when the bar began.
    begun: f64,
    ended: usize,
    /// Warnings that were shown, so that each is shown once.
    shown: HashSet<String>,
    /// Warnings that were shown here, each with the name of its network.
    told: Vec<String>,
}

impl PartsReport {
    /// Begins the bar over `count` networks of so many epochs, `ended` of which have ended before.
    pub(crate) fn new(
        (word, places): (&'static str, Vec<String>),
        mut console: Console,
        (count, ended, epochs): (usize, &[usize], u32),
        shown: HashSet<String>,
    ) -> Self {
        let all = f64::from(epochs);
        let mut done = vec![0.0; count];
        ended.iter().for_each(|&part| done[part] = all);
        let begun = done.iter().sum();
        console.begin_parts(&places, ended, epochs);
        let state = PartsState {
            console,
            started: Instant::now(),
            epochs: done,
            all,
            begun,
            ended: ended.len(),
            shown,
            told: Vec::new(),
        };
        Self { word, places, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, PartsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says from where a network goes on that was trained in part before.
    pub(crate) fn resumes(&self, part: usize, epochs: u32) {
        let mut state = self.state();
        state.epochs[part] = f64::from(epochs);
        state.begun += f64::from(epochs);
        state.console.say(&self.places[part], &format!("goes on after epoch {epochs}"));
    }

    /// Tells of an event of a network.
    pub(crate) fn event(&self, part: usize, event: &Event) {
        let mut state = self.state();
        match event {
            Event::Progress(progress) => {
                let share = progress.step as f64 / progress.steps.max(1) as f64;
                state.epochs[part] = f64::from(progress.epoch - 1) + share;
            }
            Event::Epoch(stats) => state.epochs[part] = f64::from(stats.epoch),
            Event::Warned(warning) => self.warn(&mut state, part, warning),
            Event::Finished(summary) => {
                state.ended += 1;
                state.epochs[part] = state.all;
                let text = ended_text(&state, summary);
                state.console.say(&self.places[part], &text);
            }
            Event::Started(_) => {}
        }
        let PartsState { epochs, all, begun, ended, console, started, .. } = &mut *state;
        let count = epochs.len();
        let text = format!("{ended}/{count} {}s done", self.word);
        let sum: f64 = epochs.iter().sum();
        let (done, whole) = (sum - *begun, *all * count as f64);
        let left = match done > 0.0 {
            true => format!(
                "  {} left",
                duration((whole - sum) * started.elapsed().as_secs_f64() / done)
            ),
            false => String::new(),
        };
        console.network_event(part, event, &format!("{text}{left}"));
        console.parts(&text, (*begun, sum, *all * count as f64));
    }

    /// Shows a warning, unless another network has shown the same.
    fn warn(&self, state: &mut PartsState, part: usize, warning: &Warning) {
        let text = warning.to_string();
        if state.shown.insert(text.clone()) {
            self.warn_of(state, part, &text);
        }
    }

    fn warn_of(&self, state: &mut PartsState, part: usize, text: &str) {
        let told = format!("{}: {text}", self.places[part]);
        state.console.warn(&told);
        state.told.push(told);
    }

    /// Shows a warning about a network.
    pub(crate) fn tell(&self, part: usize, text: &str) {
        self.warn_of(&mut self.state(), part, text);
    }

    /// Takes the bar away. Returns the console, and the warnings that were shown.
    pub(crate) fn end(self) -> (Console, Vec<String>) {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.console.close();
        (state.console, state.told)
    }
}

/// Says how the training of a network ended.
fn ended_text(state: &PartsState, summary: &Summary) -> String {
    let mut text = format!("({}/{})", state.ended, state.epochs.len());
    if let Some(kept) = &summary.kept {
        text += &format!(
            ": epoch {} of {}, train loss {}",
            kept.epoch,
            summary.epochs,
            number(kept.train_loss)
        );
        if let Some(valid) = &kept.valid {
            text += &format!("; validated on {valid}");
        }
    }
    text + &format!("; {}", duration(summary.seconds))
}
