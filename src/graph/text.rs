//! Names with arguments: `adam(beta1=0.9, amsgrad=true)`.
//!
//! In: a text. Out: its name and its arguments, whose meaning whoever reads them knows.

/// Splits a text into its name, in lower case with dashes, and its arguments in their order.
///
/// # Errors
/// With what was expected instead of what stands there.
pub(super) fn call(text: &str) -> Result<(String, Vec<(String, String)>), String> {
    let text = text.trim();
    let plain = |name: &str| name.trim().to_ascii_lowercase().replace('_', "-");
    let Some((name, rest)) = text.split_once('(') else { return Ok((plain(text), vec![])) };
    let Some(inside) = rest.strip_suffix(')') else {
        return Err(format!("\"{text}\" has no ) at its end; write name(setting=value, …)"));
    };
    let mut arguments: Vec<(String, String)> = Vec::new();
    for part in inside.split(',').filter(|part| !part.trim().is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            return Err(format!("\"{}\" is not of the form setting=value", part.trim()));
        };
        let key = plain(key);
        if arguments.iter().any(|(other, _)| *other == key) {
            return Err(format!("{key} is given twice"));
        }
        arguments.push((key, value.trim().to_string()));
    }
    Ok((plain(name), arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arguments_are_split() {
        let (name, arguments) = call(" Adam( beta1 = 0.9, AMS_grad=true ) ").unwrap();
        assert_eq!(name, "adam");
        assert_eq!(
            arguments,
            [("beta1", "0.9"), ("ams-grad", "true")].map(|(a, b)| (a.into(), b.into()))
        );
        assert_eq!(call("sgd").unwrap(), ("sgd".to_string(), vec![]));
        for (text, part) in [("sgd(", "no )"), ("sgd(1)", "setting=value"), ("a(b=1,b=2)", "twice")]
        {
            assert!(call(text).unwrap_err().contains(part), "{text}");
        }
    }
}
