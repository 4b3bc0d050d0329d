//! Lists of names with commas between them.
//!
//! In: a text. Out: its parts, and of a part its column and rule.
//! Absent on purpose: what the parts name.

/// Returns the parts between commas, without those that are empty; of a text with `brackets`, commas within these part nothing. A part
/// in double quotes may have commas, and so may any part after a backslash.
///
/// ```
/// use wgrad::data::parts_of;
///
/// assert_eq!(parts_of(r#"id, "a, b""#, false), ["id", "a, b"]);
/// assert_eq!(parts_of("zip:category, when:date(%d, %m)", true), ["zip:category", "when:date(%d, %m)"]);
/// ```
pub fn parts_of(text: &str, brackets: bool) -> Vec<String> {
    let (mut parts, mut part, mut depth, mut quoted) = (Vec::new(), String::new(), 0_usize, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek().is_some_and(|next| [',', '"'].contains(next)) => {
                part.extend(letters.next());
            }
            '"' if quoted => quoted = false,
            '"' if part.trim().is_empty() => quoted = true,
            ',' if !quoted && depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => {
                if brackets && !quoted {
                    match letter {
                        '(' => depth += 1,
                        ')' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                }
                part.push(letter);
            }
        }
    }
    parts.push(part);
    let parts = parts.into_iter().map(|part| part.trim().to_string());
    parts.filter(|part| !part.is_empty()).collect()
}

/// Returns the column and the rule of a part such as `zip:category`, if it has a colon. A format within the rule, as in
/// `when:date(%H:%M)`, may have colons of its own.
///
/// ```
/// use wgrad::data::column_and_rule;
///
/// assert_eq!(column_and_rule("when:date(%H:%M)"), Some(("when", "date(%H:%M)")));
/// assert_eq!(column_and_rule("zip"), None);
/// ```
pub fn column_and_rule(part: &str) -> Option<(&str, &str)> {
    let head = match part.ends_with(')') {
        true => part.rfind('(').map_or(part, |at| &part[..at]),
        false => part,
    };
    let at = head.rfind(':')?;
    Some((part[..at].trim(), &part[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::header::option_value;

    #[cfg(unix)]
    #[test]
    fn hints_are_read_by_a_shell_and_the_list_as_the_names_that_they_are_for() {
        for name in
            ["age", "day of it", "a, b", "price ($)", "it's", "\"x\"", "a\\b", "5`6`", "über"]
        {
            let word = option_value(name, "");
            let shell = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {word}")])
                .output()
                .unwrap();
            let typed = String::from_utf8(shell.stdout).unwrap();
            assert_eq!(parts_of(&typed, true), [name], "{word}");
        }
    }
}
