//! Names of settings as the program has them: the library says `batch_size`, the program `--batch-size`.
//!
//! In: errors and events of the library. Out: the same with the program's names.
//! Absent on purpose: where a setting was given, which `settings` knows.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;
use std::path::Path;
use std::sync::LazyLock;

use clap::CommandFactory;

use super::args::Cli;
use super::settings::CHECKPOINT;
use crate::data::list;
use crate::error::Error;
use crate::train::{Event, Warning};

/// Names of all options, without the hyphens in front.
static OPTIONS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let command = Cli::command();
    let arguments = command.get_subcommands().flat_map(|it| it.get_arguments());
    arguments.filter_map(|it| it.get_long()).map(str::to_string).collect()
});

/// Returns the option of a setting that the library names, `--batch-size` for `batch_size`; `None` if the program has none. Names that
/// are options already stay.
pub(super) fn option_of(name: &str) -> Option<String> {
    if name == CHECKPOINT {
        return None;
    }
    let key = name.strip_prefix("--").map_or_else(|| name.replace('_', "-"), str::to_string);
    OPTIONS.contains(&key).then(|| format!("--{key}"))
}

/// Says that a table lacks the column of weights that training had, so that its `rows` count the same.
pub(super) fn without_weights(table: impl Display, weight: &str, rows: &str) -> String {
    let weight = list(&[weight]);
    format!(
        "{table} has no column {weight}: all {rows} count the same, not by their weights as in training"
    )
}

/// Replaces the settings that a text of the library names, ‘batch_size’, by options. Names out of tables stand in backquotes, and stay.
pub(super) fn with_options(text: &str) -> String {
    let mut worded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['‘', '`']) {
        let (before, from) = rest.split_at(at);
        worded.push_str(before);
        if let Some(name) = from.strip_prefix('`') {
            let end = name.find('`').map_or(from.len(), |end| end + 2);
            worded.push_str(&from[..end]);
            rest = &from[end..];
            continue;
        }
        rest = &from['‘'.len_utf8()..];
        match rest.split_once('’').and_then(|(name, after)| Some((option_of(name)?, after))) {
            Some((option, after)) => {
                worded.push_str(&option);
                rest = after;
            }
            None => worded.push('‘'),
        }
    }
    worded.push_str(rest);
    worded
}

/// Returns the text of an error with options in it.
pub(super) fn told(error: &Error) -> String {
    match error {
        Error::Setting { name, problem } => {
            let name = option_of(name).unwrap_or_else(|| name.clone());
            format!("{name}: {}", with_options(problem))
        }
        other => with_options(&other.to_string()),
    }
}

/// Returns an event whose warning, if it is one, has options in its text.
pub(super) fn worded(event: &Event) -> Cow<'_, Event> {
    let Event::Warned(warning) = event else { return Cow::Borrowed(event) };
    let text = warning.to_string();
    let problem = with_options(&text);
    if text == problem {
        return Cow::Borrowed(event);
    }
    Cow::Owned(Event::Warned(Warning::Noted { problem }))
}

/// Returns a path as one word of a shell, which this program takes for a value.
pub(super) fn quoted(path: &Path) -> String {
    let Some(text) = path.to_str() else {
        // bash, zsh and ksh read bytes in this notation.
        let bytes = path.as_os_str().as_encoded_bytes().iter();
        let bytes: String =
            bytes.flat_map(|&byte| std::ascii::escape_default(byte)).map(char::from).collect();
        return format!("$'{bytes}'");
    };
    let text = if text.starts_with('-') { format!("./{text}") } else { text.to_string() };
    let plain = |letter: char| letter.is_alphanumeric() || "_./+:=@%,-".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else if cfg!(windows) {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn paths_are_quoted_for_a_shell() {
        for (path, want) in [
            ("runs/a-2", "runs/a-2"),
            ("-r/config.toml", "./-r/config.toml"),
            ("my runs/é", "'my runs/é'"),
            ("it's; rm", r"'it'\''s; rm'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(Path::new(path)), want);
        }
    }

    #[test]
    fn fields_become_options() {
        let text = "‘lr’: give a smaller ‘batch_size’, ‘scale’ none or ‘nothing’ of `‘x’`; ‘lr";
        let want = "--lr: give a smaller --batch-size, --scale none or ‘nothing’ of `‘x’`; ‘lr";
        assert_eq!(with_options(text), want);
        // Columns may have any name.
        let column = "there is no column `‘lr’`; give ‘scale’ none, not `a";
        assert_eq!(with_options(column), "there is no column `‘lr’`; give --scale none, not `a");
        let error = |name: &str| told(&Error::setting(name, "no ‘clip_norm’"));
        assert_eq!(error("stop_patience"), "--stop-patience: no --clip-norm");
        assert_eq!(error("--lr"), "--lr: no --clip-norm");
        assert_eq!(error("run.toml: lr"), "run.toml: lr: no --clip-norm");
        assert_eq!(error("checkpoint"), "checkpoint: no --clip-norm");
        assert_eq!(told(&Error::table("t.csv", "‘target’").at_line(3)), "t.csv:3: --target");
    }

    #[test]
    fn warnings_name_options() {
        let event = Event::Warned(Warning::OneBatch { batch: 5, rows: 3 });
        let told = |event: &Event| match event {
            Event::Warned(warning) => warning.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(told(&event).starts_with("‘batch_size’ 5 is more"));
        assert!(told(&worded(&event)).starts_with("--batch-size 5 is more"));
    }
}
