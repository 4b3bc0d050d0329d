//! A bar over several networks that one run trains.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Console;
use super::view::LiveView;
use crate::report::text::duration;
use crate::train::Event;

/// Steps of the bar for one epoch.
const FINE: f64 = 100.0;

impl Console {
    /// Begins a bar over all epochs of several networks, or the view, which has a line for each; none where stderr is no terminal.
    /// `ended` are the networks that were trained before.
    pub fn begin_parts(&mut self, names: &[String], ended: &[usize], epochs: u32) {
        if self.wants_view {
            let mut view = LiveView::of_networks(names, epochs);
            ended.iter().for_each(|&network| view.network_ended(network));
            self.view = Some(view);
            return;
        }
        let epochs = names.len() as u64 * u64::from(epochs);
        // A template of our own that does not parse would be a bug; then there is no bar.
        let style =
            ProgressStyle::with_template("[{bar:12}] {wide_msg}").ok().filter(|_| self.live);
        if let Some(style) = style {
            let length = Some(epochs.saturating_mul(FINE as u64));
            let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(style.progress_chars("=> "));
            self.bar = Some(bar);
        }
    }

    /// Shows an event of a network in the view; `text` says how far all are.
    pub fn network_event(&mut self, network: usize, event: &Event, text: &str) {
        if let Some(view) = &mut self.view {
            view.network_event(network, event, text);
        }
    }

    /// Tells how far the networks are: `text` says how many are done, `epochs` of `all` are, and `begun` of these were when the
    /// bar began.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position, rounded; the cast saturates"
    )]
    pub fn parts(&mut self, text: &str, (begun, epochs, all): (f64, f64, f64)) {
        let Some(bar) = &self.bar else { return };
        bar.set_position((epochs * FINE) as u64);
        let seconds = bar.elapsed().as_secs_f64();
        let left = match epochs > begun {
            true => format!("  {} left", duration((all - epochs) * seconds / (epochs - begun))),
            false => String::new(),
        };
        bar.set_message(format!("{text}  epoch {epochs:.0}/{all:.0} of all{left}"));
    }
}
