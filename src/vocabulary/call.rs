//! An item of the vocabulary as users write it: `cosine`, or with arguments `step(every=10, gamma=0.5)`.
//!
//! In: a text. Out: a name, then its arguments one by one; what is left over is an error.
//! Absent on purpose: which names there are, and what values are allowed.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A name and its arguments. Those without a name of their own count in the order in which they are asked for.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    option: &'a str,
    name: String,
    unnamed: Vec<&'a str>,
    named: Vec<(String, &'a str)>,
    /// The arguments asked for so far.
    asked: Vec<&'static str>,
}

impl<'a> Call<'a> {
    /// Takes a text apart. The name comes out in small letters with hyphens. Errors speak of the option.
    pub(crate) fn parse(option: &'a str, text: &'a str) -> Result<Self> {
        let trimmed = text.trim();
        let (name, inner) = match trimmed.split_once('(') {
            None => (trimmed, ""),
            Some((name, rest)) => {
                let inner = rest.strip_suffix(')').ok_or_else(|| {
                    let problem =
                        format!("\"{text}\" has no closing bracket; write name(argument=value)");
                    Error::setting(option, problem)
                })?;
                (name, inner)
            }
        };
        let name = name.trim().to_ascii_lowercase().replace('_', "-");
        let mut call = Self { option, name, unnamed: vec![], named: vec![], asked: vec![] };
        for part in parts(inner) {
            match part.split_once('=') {
                None => call.unnamed.push(part.trim()),
                Some((key, value)) => {
                    let key = key.trim().to_ascii_lowercase().replace('-', "_");
                    if call.named.iter().any(|(other, _)| *other == key) {
                        return Err(call.wrong(&key, "is given twice"));
                    }
                    call.named.push((key, value.trim()));
                }
            }
        }
        Ok(call)
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// An argument as it is written, if it is.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<&'a str>> {
        let unnamed = self.unnamed.get(self.asked.len()).copied();
        self.asked.push(key);
        let place = self.named.iter().position(|(name, _)| name == key);
        let named = place.map(|place| self.named.remove(place).1);
        if unnamed.is_some() && named.is_some() {
            return Err(self.wrong(key, "is given twice"));
        }
        Ok(unnamed.or(named))
    }

    /// An argument that is a number, such as an `f64` or a `u32`; `None` if it is not given.
    pub(crate) fn number<T: FromStr>(&mut self, key: &'static str) -> Result<Option<T>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        self.value(key, text).map(Some)
    }

    /// A number, or its default.
    pub(crate) fn number_or<T: FromStr>(&mut self, key: &'static str, default: T) -> Result<T> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// A number that has no default.
    pub(crate) fn needed<T: FromStr>(&mut self, key: &'static str) -> Result<T> {
        self.number(key)?.ok_or_else(|| self.missing(key, "NUMBER"))
    }

    /// Numbers between square brackets that have no default; one alone needs no brackets.
    pub(crate) fn numbers(&mut self, key: &'static str) -> Result<Vec<f64>> {
        let text = self.text(key)?.ok_or_else(|| self.missing(key, "[10, 20]"))?;
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        inner.split(',').map(|part| self.value(key, part.trim())).collect()
    }

    fn value<T: FromStr>(&self, key: &str, text: &str) -> Result<T> {
        let whole = if text.parse::<f64>().is_ok() { "a whole number" } else { "a number" };
        text.parse().map_err(|_| self.wrong(key, format!("is \"{text}\", which is not {whole}")))
    }

    /// Whether all arguments were asked for.
    pub(crate) fn end(self) -> Result<()> {
        let Self { option, name, asked, .. } = &self;
        let has = match asked.as_slice() {
            [] => format!("{name} has no arguments"),
            asked => format!("{name} has {}", asked.join(", ")),
        };
        if let Some((key, _)) = self.named.first() {
            return Err(Error::setting(*option, format!("unknown argument \"{key}\"; {has}")));
        }
        if self.unnamed.len() > asked.len() {
            let problem = format!("{} arguments are too many; {has}", self.unnamed.len());
            return Err(Error::setting(*option, problem));
        }
        Ok(())
    }

    fn missing(&self, key: &str, value: &str) -> Error {
        let name = &self.name;
        Error::setting(self.option, format!("{name} needs {key}: write {name}({key}={value})"))
    }

    /// An argument that is not as it should be.
    pub(crate) fn wrong(&self, key: &str, problem: impl fmt::Display) -> Error {
        Error::setting(self.option, format!("{key} of {} {problem}", self.name))
    }
}

/// Parts between commas outside of square brackets.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = text.split(|letter: char| {
        depth += i32::from(letter == '[') - i32::from(letter == ']');
        letter == ',' && depth == 0
    });
    if text.trim().is_empty() { vec![] } else { parts.collect() }
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
            ("step(ten)", "way: every of step is \"ten\", which is not a number"),
            ("step(1, 2.5)", "way: mult_by of step is \"2.5\", which is not a whole number"),
            ("step(1, every=2)", "way: every of step is given twice"),
            ("step(every=1, every=2)", "way: every of step is given twice"),
            ("step(1, gama=2)", "way: unknown argument \"gama\"; step has every, mult_by"),
            ("step(1, 2, 3)", "way: 3 arguments are too many; step has every, mult_by"),
        ] {
            assert_eq!(step(text).unwrap_err().to_string(), want);
        }
        let said = Call::parse("way", "flat(1)").unwrap().end().unwrap_err().to_string();
        assert_eq!(said, "way: 1 arguments are too many; flat has no arguments");
    }
}
