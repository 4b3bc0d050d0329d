//! An item of the vocabulary as users write it: `cosine`, or with arguments `step(every=10, gamma=0.5)`.
//!
//! In: a text. Out: a name, then its arguments one by one; an argument that nobody takes is an error.
//! Absent on purpose: which names there are, and what values are allowed.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A name and its arguments as they are written, none of them looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenCall {
    /// The name, in lower case with hyphens.
    pub(crate) name: String,
    /// Arguments without a key, in their order.
    pub(crate) unnamed: Vec<String>,
    /// Arguments with a key, in their order.
    pub(crate) named: Vec<(String, String)>,
}

impl WrittenCall {
    /// Takes a text apart.
    ///
    /// # Errors
    /// If its brackets or commas are wrong; the message says how.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, inner) = name_and_inner(text)?;
        Ok(Self::of_parts(name, parts(inner)?))
    }

    /// Takes a name and the texts of its arguments.
    pub(crate) fn of_parts<'a>(name: &str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut written = Self { name: plain(name), ..Self::default() };
        for part in parts {
            match key_and_value(part) {
                None => written.unnamed.push(part.to_string()),
                Some((key, value)) => written.named.push((key.to_string(), value.to_string())),
            }
        }
        written
    }
}

/// Splits `name(inner)`; the inside of a name without brackets is empty.
pub(crate) fn name_and_inner(text: &str) -> Result<(&str, &str), String> {
    let Some((name, rest)) = text.trim().split_once('(') else { return Ok((text.trim(), "")) };
    match rest.strip_suffix(')') {
        Some(inner) => Ok((name.trim(), inner)),
        None => Err(format!("\"{text}\" has no closing bracket; write name(argument=value)")),
    }
}

/// Returns the parts between commas that stand in no brackets. A comma may follow the last part.
pub(crate) fn parts(text: &str) -> Result<Vec<&str>, String> {
    let (mut depth, mut from, mut parts) = (0_usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => {
                depth = depth.checked_sub(1).ok_or_else(|| {
                    format!("\"{text}\" closes a parenthesis too many; remove it")
                })?;
            }
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(format!("\"{text}\" leaves a parenthesis open; close it"));
    }
    let last = text[from..].trim();
    parts.extend((!last.is_empty()).then_some(last));
    match parts.iter().position(|part| part.is_empty()) {
        Some(index) => Err(format!(
            "nothing stands at place {index} of \"{text}\"; remove a comma, or write what is missing"
        )),
        None => Ok(parts),
    }
}

/// Splits `key=value`, if a part is that and no comparison.
pub(crate) fn key_and_value(part: &str) -> Option<(&str, &str)> {
    let (key, value) = part.split_once('=')?;
    let plain = |c: char| c.is_alphanumeric() || "_- .#%/:".contains(c);
    let fits = !key.trim().is_empty() && key.chars().all(plain) && !value.starts_with('=');
    fits.then(|| (key.trim(), value.trim()))
}

/// A name as it is compared: in lower case with hyphens.
pub(crate) fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('_', "-")
}

/// A name whose arguments are taken one by one. Arguments without a key count in the order in which they are asked for.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    option: &'a str,
    written: WrittenCall,
    /// The arguments asked for so far.
    asked: Vec<&'static str>,
    /// The arguments without a key that were taken.
    taken: usize,
}

impl<'a> Call<'a> {
    /// Takes a text apart. Errors name the option.
    pub(crate) fn parse(option: &'a str, text: &str) -> Result<Self> {
        let written =
            WrittenCall::parse(text).map_err(|problem| Error::setting(option, problem))?;
        Self::of(option, written)
    }

    /// Begins to take arguments. Errors name the option.
    pub(crate) fn of(option: &'a str, written: WrittenCall) -> Result<Self> {
        let call = Self::of_data_keys(option, written);
        let mut keys: Vec<String> = call.written.named.iter().map(|(key, _)| plain(key)).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(call.wrong(&pair[0].replace('-', "_"), "is given twice")),
            None => Ok(call),
        }
    }

    /// Begins to take arguments whose keys come from data, such as columns: two keys may differ in their case alone, and the caller
    /// checks for repeated ones.
    pub(crate) fn of_data_keys(option: &'a str, written: WrittenCall) -> Self {
        Self { option, written, asked: vec![], taken: 0 }
    }

    /// The name, in lower case with hyphens.
    pub(crate) fn name(&self) -> &str {
        &self.written.name
    }

    /// The arguments asked for so far.
    pub(crate) fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    /// Returns an argument as it is written, if it is.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        let named = self.keyed(key);
        let unnamed = self.written.unnamed.get(self.taken).cloned();
        if unnamed.is_some() && named.is_some() {
            return Err(self.wrong(key, "is given twice"));
        }
        self.taken += usize::from(unnamed.is_some());
        Ok(unnamed.or(named))
    }

    /// Returns an argument that has to stand with its key, if it is there.
    pub(crate) fn keyed(&mut self, key: &'static str) -> Option<String> {
        self.asked.push(key);
        let place = self.written.named.iter().position(|(name, _)| plain(name) == plain(key));
        place.map(|place| self.written.named.remove(place).1)
    }

    /// Takes all arguments that are left: those without a key, and those with one.
    pub(crate) fn rest(&mut self) -> (Vec<String>, Vec<(String, String)>) {
        let unnamed = std::mem::take(&mut self.written.unnamed);
        let unnamed = unnamed.into_iter().skip(std::mem::take(&mut self.taken)).collect();
        (unnamed, std::mem::take(&mut self.written.named))
    }

    /// Takes all arguments, each of which must stand with its key; keys come out in lower case with hyphens.
    ///
    /// # Errors
    /// If one has no key.
    pub(crate) fn settings(&mut self) -> Result<Vec<(String, String)>> {
        let (unnamed, named) = self.rest();
        if let Some(text) = unnamed.first() {
            let problem = format!("\"{text}\" is not of the form setting=value");
            return Err(Error::setting(self.option, problem));
        }
        Ok(named.into_iter().map(|(key, value)| (plain(&key), value)).collect())
    }

    /// Returns an argument that is of some type, such as an `f64` or a `bool`; `None` if it is not given. Those without a key
    /// stand for the arguments that have none: `dense(units=8, false)`.
    pub(crate) fn value<T: FromStr>(
        &mut self,
        key: &'static str,
        wanted: &str,
    ) -> Result<Option<T>> {
        let text = self.keyed(key).or_else(|| {
            let unnamed = self.written.unnamed.get(self.taken).cloned();
            self.taken += usize::from(unnamed.is_some());
            unnamed
        });
        text.map(|text| self.read(key, &text, wanted)).transpose()
    }

    /// Returns an argument that is a number, such as an `f64` or a `u32`; `None` if it is not given.
    pub(crate) fn number<T: FromStr>(&mut self, key: &'static str) -> Result<Option<T>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        self.read_number(key, &text).map(Some)
    }

    /// Returns a number, or its default.
    pub(crate) fn number_or<T: FromStr>(&mut self, key: &'static str, default: T) -> Result<T> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// Returns a number that has no default.
    pub(crate) fn needed<T: FromStr>(&mut self, key: &'static str) -> Result<T> {
        self.number(key)?.ok_or_else(|| self.missing(key, "NUMBER"))
    }

    /// Returns numbers between square brackets that have no default; one alone needs no brackets.
    pub(crate) fn numbers(&mut self, key: &'static str) -> Result<Vec<f64>> {
        let text = self.text(key)?.ok_or_else(|| self.missing(key, "[10, 20]"))?;
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
        inner.split(',').map(|part| self.read_number(key, part.trim())).collect()
    }

    fn read_number<T: FromStr>(&self, key: &str, text: &str) -> Result<T> {
        let wanted = if text.parse::<f64>().is_ok() { "a whole number" } else { "a number" };
        self.read(key, text, wanted)
    }

    fn read<T: FromStr>(&self, key: &str, text: &str, wanted: &str) -> Result<T> {
        text.parse().map_err(|_| self.wrong(key, format!("is \"{text}\", but it must be {wanted}")))
    }

    /// Refuses arguments that were not asked for, and lists those that were.
    pub(crate) fn end(self) -> Result<()> {
        let Self { option, written: WrittenCall { name, unnamed, named }, asked, taken } = &self;
        let has = match asked.as_slice() {
            [] => format!("{name} has no arguments"),
            asked => format!("{name} has {}", asked.join(", ")),
        };
        if let Some((key, _)) = named.first() {
            let key = key.to_ascii_lowercase().replace('-', "_");
            return Err(Error::setting(*option, format!("unknown argument \"{key}\"; {has}")));
        }
        if unnamed.len() > *taken {
            let problem = format!("{} arguments are too many; {has}", unnamed.len());
            return Err(Error::setting(*option, problem));
        }
        Ok(())
    }

    fn missing(&self, key: &str, value: &str) -> Error {
        let name = self.name();
        Error::setting(self.option, format!("{name} needs {key}: write {name}({key}={value})"))
    }

    /// An error about an argument that is not as it should be.
    pub(crate) fn wrong(&self, key: &str, problem: impl fmt::Display) -> Error {
        Error::setting(self.option, format!("{key} of {} {problem}", self.name()))
    }
}

/// Writes a name and its arguments as [`Call`] reads them.
pub(crate) fn written(name: &str, arguments: &[(&str, &dyn fmt::Display)]) -> String {
    let arguments: Vec<_> = arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
    match arguments.as_slice() {
        [] => name.to_string(),
        arguments => format!("{name}({})", arguments.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str) -> Result<(String, f64, u32)> {
        let mut call = Call::parse("way", text)?;
        let name = call.name().to_string();
        let read = (name, call.needed("every")?, call.number_or("mult_by", 2)?);
        call.end().map(|()| read)
    }

    #[test]
    fn arguments_have_names_or_places() {
        for text in
            ["Big_Step(every=10, mult-by=3)", " big-step ( 10 , 3 ) ", "big-step(10,MULT_BY=3)"]
        {
            assert_eq!(step(text).unwrap(), ("big-step".to_string(), 10.0, 3), "{text}");
        }
        assert_eq!(step("step(1e1)").unwrap().2, 2);
        assert_eq!(
            written("step", &[("every", &10.0), ("mult_by", &2)]),
            "step(every=10, mult_by=2)"
        );
        let mut call = Call::parse("way", "at([1, 2.5],0.5)").unwrap();
        assert_eq!(call.numbers("at").unwrap(), [1.0, 2.5]);
        assert_eq!(call.number::<f64>("gamma").unwrap(), Some(0.5));
        assert_eq!(Call::parse("way", "at(3)").unwrap().numbers("at").unwrap(), [3.0]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, want) in [
            ("step", "way: step needs every: write step(every=NUMBER)"),
            ("step(10", "way: \"step(10\" has no closing bracket; write name(argument=value)"),
            ("step(ten)", "way: every of step is \"ten\", but it must be a number"),
            ("step(1, 2.5)", "way: mult_by of step is \"2.5\", but it must be a whole number"),
            ("step(1, every=2)", "way: every of step is given twice"),
            ("step(every=1, every=2)", "way: every of step is given twice"),
            ("step(1, gama=2)", "way: unknown argument \"gama\"; step has every, mult_by"),
            ("step(1, 2, 3)", "way: 3 arguments are too many; step has every, mult_by"),
        ] {
            assert_eq!(step(text).unwrap_err().to_string(), want);
        }
        let mut call = Call::parse("way", " Step( Beta1 = 0.9, AMS_grad=true, ) ").unwrap();
        assert_eq!(call.name(), "step");
        let settings = [("beta1", "0.9"), ("ams-grad", "true")].map(|(a, b)| (a.into(), b.into()));
        assert_eq!(call.settings().unwrap(), settings);
        let said = Call::parse("way", "step(1)").unwrap().settings().unwrap_err().to_string();
        assert_eq!(said, "way: \"1\" is not of the form setting=value");
        for (text, part) in [
            ("step(1,,2)", "nothing stands at place 1"),
            ("step([1)", "leaves a parenthesis open"),
            ("step(1))", "closes a parenthesis too many"),
        ] {
            let said = Call::parse("way", text).unwrap_err().to_string();
            assert!(said.starts_with("way: ") && said.contains(part), "{said}");
        }
        let said = Call::parse("way", "flat(1)").unwrap().end().unwrap_err().to_string();
        assert_eq!(said, "way: 1 arguments are too many; flat has no arguments");
    }
}
