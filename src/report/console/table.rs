//! A bar while a table is read.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Console;
use crate::report::text::{duration, pluralize, speed};

impl Console {
    /// Begins a bar over a table of so many bytes, if that is known; none where stderr is no terminal.
    pub fn begin_table(&mut self, bytes: Option<u64>) {
        let template = if bytes.is_some() { "[{bar:24}] {wide_msg}" } else { "{wide_msg}" };
        // A template of our own that does not parse would be a bug; then there is no bar.
        let style = ProgressStyle::with_template(template).ok().filter(|_| self.live);
        if let Some(style) = style {
            let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(style.progress_chars("=> "));
            self.bar = Some(bar);
        }
    }

    /// Tells how far the table is done: its bytes that were read, and its rows.
    pub fn table(&mut self, bytes: u64, rows: u64) {
        let Some(bar) = &self.bar else { return };
        bar.set_position(bytes);
        bar.set_message(table_text(bar.elapsed().as_secs_f64(), (bytes, bar.length()), rows));
    }
}

/// Rows, their speed, and the time that is left or, where the end is not known, the time that it took so far.
fn table_text(seconds: f64, (bytes, all): (u64, Option<u64>), rows: u64) -> String {
    let done = format!("{}  {} rows/s", pluralize(rows, "row"), speed(rows as f64 / seconds));
    match all {
        Some(all) if bytes > 0 => {
            let left = all.saturating_sub(bytes) as f64 * seconds / bytes as f64;
            format!("{done}  {} left", duration(left))
        }
        _ => format!("{done}  {}", duration(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_tell_what_is_left_or_how_long_it_took() {
        let told = table_text(2.0, (500, Some(2000)), 1_000_000);
        assert_eq!(told, "1,000,000 rows  500,000 rows/s  6.00 s left");
        // A file may grow while it is read.
        assert!(table_text(2.0, (500, Some(400)), 10).ends_with("  0 ms left"));
        assert_eq!(table_text(4.0, (500, None), 10), "10 rows  3 rows/s  4.00 s");
    }
}
