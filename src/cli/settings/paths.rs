//! Paths as texts: settings are texts, in options, in files and in records, and a path need not be one.
//!
//! In: a path. Out: its own text where it has one, else its bytes with a sign in front; and back.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};

/// Stands before a path that is no text, with its bytes in hexadecimal.
const SIGN: &str = "bytes:";

/// A path as a setting has it.
pub(crate) fn path_text(path: &Path) -> String {
    match path.to_str() {
        // A path that would be read as bytes is written as bytes.
        Some(text) if !text.starts_with(SIGN) => text.to_string(),
        _ => SIGN.to_string() + &hexadecimal(path),
    }
}

/// The path that a setting names.
pub(crate) fn path_of(text: &str) -> PathBuf {
    text.strip_prefix(SIGN).and_then(bytes).map_or_else(|| text.into(), from_bytes)
}

/// Takes arguments that are paths, or may be.
pub(crate) fn parser() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|text: OsString| path_text(Path::new(&text)))
}

fn hexadecimal(path: &Path) -> String {
    path.as_os_str().as_encoded_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|it| u8::try_from(it).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2) && !digits.is_empty())?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(unix)]
fn from_bytes(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_text_where_it_has_one() {
        for text in ["", "a/b c.csv", "é", "bytes:", "bytes:xyz", "bytes:61"] {
            assert_eq!(path_of(&path_text(Path::new(text))), Path::new(text), "{text}");
        }
        assert_eq!(
            (path_text(Path::new("a/é")), path_of("bytes:x")),
            ("a/é".into(), "bytes:x".into())
        );
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_come_back() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"t\xff/\x80.csv"));
        assert_eq!(path_text(path), "bytes:74ff2f802e637376");
        assert_eq!(path_of("bytes:74ff2f802e637376"), path);
    }
}
