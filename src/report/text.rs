//! Numbers and classes as people read them, and text that a terminal may show.

use serde::Serializer;

use crate::data::{Positive, list};
pub use crate::shape::{count, pluralize};
use crate::shape::{fixed, number};

/// Says which class is the positive one of two, or of each label; `None` where there is none.
pub fn positive(all: &[Positive]) -> Option<String> {
    let first = all.first()?;
    if let [Positive { column, class, other, later }] = all {
        let [column, class, other] = [column, class, other].map(|name| list(&[name]));
        let order = if *later { ", the later in the order of classes" } else { "" };
        return Some(format!(
            "the positive class of {column} is {class}{order}; the other is {other}"
        ));
    }
    let columns: Vec<&String> = all.iter().map(|it| &it.column).collect();
    let classes: Vec<&String> = all.iter().map(|it| &it.class).collect();
    if classes.iter().all(|class| **class == first.class) {
        return Some(format!(
            "the positive class of {} is {}",
            list(&columns),
            list(&classes[..1])
        ));
    }
    Some(format!("the positive classes of {} are {}", list(&columns), list(&classes)))
}

/// Writes the positive classes by their columns; `null` where there are none.
pub fn positive_by_column<S: Serializer>(
    all: &[Positive],
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    if all.is_empty() {
        return to.serialize_none();
    }
    to.collect_map(all.iter().map(|it| (&it.column, &it.class)))
}

/// Text for a terminal: control characters, and what turns the direction of writing, both of which names out of files may hold,
/// are shown and not obeyed.
pub fn escape_controls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter != '\n' && is_obeyed(letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// True if a terminal does something else than to show a letter.
pub(crate) fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A line of JSON in which what a terminal would obey is written by its number; what the line says stays the same.
pub(crate) fn escape_json_controls(line: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(line) {
        Ok(text) if text.chars().any(|letter| letter != '\n' && is_obeyed(letter)) => {
            let mut shown = String::with_capacity(text.len());
            for letter in text.chars() {
                if letter != '\n' && is_obeyed(letter) {
                    // None of them lies beyond what four digits say.
                    shown += &format!("\\u{:04x}", u32::from(letter));
                } else {
                    shown.push(letter);
                }
            }
            shown.into_bytes()
        }
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

/// Widest line of progress.
pub(super) const WIDTH: usize = 80;

/// Breaks a text between words into lines of at most [`WIDTH`] letters; all but the first are indented. A longer word has a line
/// of its own.
pub(super) fn wrapped(text: &str, indent: usize) -> String {
    laid_out(text.split(' '), " ", indent)
}

/// Puts parts side by side into lines of at most [`WIDTH`] letters; all but the first are indented. No part is broken.
pub(super) fn laid_out<'a>(
    parts: impl IntoIterator<Item = &'a str>,
    between: &str,
    indent: usize,
) -> String {
    laid_out_in(parts, between, (indent, WIDTH))
}

/// Does the same with lines of another width.
pub(super) fn laid_out_in<'a>(
    parts: impl IntoIterator<Item = &'a str>,
    between: &str,
    (indent, most): (usize, usize),
) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for part in parts {
        let letters = part.chars().count();
        if text.is_empty() {
            width = letters;
        } else if width + between.len() + letters <= most {
            text += between;
            width += between.len() + letters;
        } else {
            // Spaces before the end of a line say nothing.
            text.truncate(text.trim_end().len());
            text += "\n";
            text += &" ".repeat(indent);
            width = indent + letters;
        }
        text += part;
    }
    text
}

/// Rows per second, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a speed, shown rounded; the cast saturates"
)]
pub(super) fn speed(rows_per_second: f64) -> String {
    count(rows_per_second.round() as u64)
}

/// Seconds, in the unit that suits: `9 ms`, `0.11 s`, `3 min 20 s`, `2 h 5 min`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time, shown rounded; the cast saturates"
)]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0 if seconds < 0.1 => format!("{:.0} ms", 1e3 * seconds),
        0..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", count(whole / 3600), whole % 3600 / 60),
    }
}

/// A figure with its usual name and format: `accuracy 96.94 %`.
pub(super) fn figure(name: &str, value: f64) -> String {
    match name {
        "accuracy" => format!("accuracy {:.2} %", 100.0 * value),
        // Errors have the target's units, which may be of any size.
        "mae" | "rmse" | "loss" => format!("{name} {}", number(value)),
        _ => format!("{name} {}", fixed(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (value, want) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(value), want);
        }
        assert_eq!((pluralize(1, "row"), pluralize(0, "row")), ("1 row".into(), "0 rows".into()));
        assert_eq!(pluralize(1000, "row"), "1,000 rows");
        assert_eq!(escape_controls("é\n\u{1b}[2J\t'"), "é\n\\u{1b}[2J\\u{9}'");
        assert_eq!(escape_controls("a\u{202e}b\u{9b}\u{2066}"), "a\\u{202e}b\\u{9b}\\u{2066}");
        let line = escape_json_controls(b"{\"a\":\"\xe2\x80\xae\x7f\"}\n".to_vec());
        assert_eq!(String::from_utf8(line).unwrap(), "{\"a\":\"\\u202e\\u007f\"}\n");
        for (seconds, want) in [
            (0.114, "0.11 s"),
            (12.34, "12.3 s"),
            (59.7, "1 min 0 s"),
            (200.2, "3 min 20 s"),
            (7500.0, "2 h 5 min"),
        ] {
            assert_eq!(duration(seconds), want);
        }
        assert_eq!((speed(12_345.6), speed(f64::INFINITY).len() > 3), ("12,346".to_string(), true));
        assert_eq!(figure("accuracy", 0.96944), "accuracy 96.94 %");
        assert_eq!(
            (figure("loss", 0.12345), figure("rmse", 1e-5)),
            ("loss 0.1235".into(), "rmse 1.000e-5".into())
        );
        assert_eq!(figure("mape", 1e70), "mape 1.000e70");
    }
}
