//! Groups of parameters with learning rates and weight decay of their own, and frozen ones.
//!
//! In: groups, a layout. Out: two factors for each parameter.

use std::fmt;
use std::str::FromStr;

use crate::data::list;
use crate::error::{Error, Result};
use crate::model::{ParamKind, ParamLayout, ParamView};

/// Kinds of parameters that a group may name.
const KINDS: &str = "bias, norm, matrix, scale, activation, numbers, embedding";

/// Parameters and what their learning rate and decay are multiplied by. Where several groups match a parameter, their
/// factors are multiplied.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// `bias`, `norm` (weights and biases of normalisation, and scales), `matrix`, `scale`, `activation` (vectors of
    /// activations), `numbers` (all of embeddings of numbers), `embedding` (tables); or a name in which `*` stands for
    /// anything: `0.weight`, `2.*`. With `?` behind it there may be none.
    pub matches: String,
    /// Factor of the learning rate, 0 or more.
    pub lr: f64,
    /// Factor of the weight decay, 0 or more.
    pub decay: f64,
    /// True if they stay as they are, bit for bit.
    pub frozen: bool,
}

/// Factors of a parameter's learning rate and weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupFactors {
    /// Of the rate; 0 for what stays.
    pub lr: f64,
    /// Of the decay.
    pub decay: f64,
}

impl Group {
    /// Gives matching parameters no weight decay.
    pub fn without_decay(matches: &str) -> Self {
        Self { matches: matches.to_string(), lr: 1.0, decay: 0.0, frozen: false }
    }

    /// Freezes matching parameters.
    pub fn frozen(matches: &str) -> Self {
        Self { matches: matches.to_string(), lr: 1.0, decay: 1.0, frozen: true }
    }

    /// Returns what names the parameters, and whether there has to be one.
    fn pattern(&self) -> (&str, bool) {
        match self.matches.strip_suffix('?') {
            Some(pattern) => (pattern, false),
            None => (&self.matches, true),
        }
    }

    /// Returns whether a parameter is one of them.
    pub fn has(&self, view: &ParamView) -> bool {
        let bias = view.name == "bias" || view.name.ends_with(".bias");
        match self.pattern().0 {
            "bias" => bias,
            "norm" => matches!(view.kind, ParamKind::Norm | ParamKind::Scale),
            "scale" => view.kind == ParamKind::Scale && !bias,
            "activation" => view.kind == ParamKind::Activation,
            "numbers" => view.kind == ParamKind::NumberEmbedding,
            "embedding" => view.kind == ParamKind::Embedding,
            "matrix" => view.shape.len() == 2,
            pattern => fits(pattern, &view.name),
        }
    }

    /// Changes one of the group's settings, all but the pattern.
    ///
    /// # Errors
    /// If there is none of this name, or it cannot have this value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let wrong =
            |problem: String| Error::setting("groups", format!("{}: {problem}", self.matches));
        let number =
            || value.parse().map_err(|_| wrong(format!("{key}: \"{value}\" is not a number")));
        match key {
            "lr" => self.lr = number()?,
            "decay" => self.decay = number()?,
            "frozen" => {
                let truth = value.parse();
                let refuse = |_| wrong(format!("frozen: \"{value}\" is not true or false"));
                self.frozen = truth.map_err(refuse)?;
            }
            _ => return Err(wrong(format!("no setting \"{key}\"; known: lr, decay, frozen"))),
        }
        Ok(())
    }

    /// Checks the pattern and the factors.
    ///
    /// # Errors
    /// If no parameter can have such a name, or a factor is negative or no number.
    pub fn check(&self) -> Result<()> {
        let of_names = |c: char| c.is_ascii_alphanumeric() || "._-*".contains(c);
        if !self.pattern().0.chars().all(of_names) {
            let problem = format!(
                "\"{}\" names no parameters; write names such as 0.weight or 2.*, or {KINDS}",
                self.matches
            );
            return Err(Error::setting("groups", problem));
        }
        for (name, value) in [("lr", self.lr), ("decay", self.decay)] {
            if !(value >= 0.0 && value.is_finite()) {
                let problem = format!(
                    "{}: {name} is {value}, but it must be a finite number of 0 or more",
                    self.matches
                );
                return Err(Error::setting("groups", problem));
            }
        }
        Ok(())
    }
}

/// Returns whether a name is one that a pattern with `*` stands for.
fn fits<'a>(pattern: &str, name: &'a str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inside = name.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    // Taken as early as it is there, a part leaves most to the others.
    let after = |left: &'a str, part| left.split_once(part).map(|(_, after)| after);
    inside.and_then(|inside| middle.split('*').try_fold(inside, after)).is_some()
}

/// The factors of each parameter of a layout, in its order: 0 for those that do not train.
///
/// # Errors
/// If a group is impossible, or matches nothing; the message lists the parameters.
pub fn factors(groups: &[Group], layout: &ParamLayout) -> Result<Vec<GroupFactors>> {
    for group in groups {
        group.check()?;
        if group.pattern().1 && !layout.views().iter().any(|view| group.has(view)) {
            let names: Vec<_> = layout.views().iter().map(|view| view.name.as_str()).collect();
            let problem = format!(
                "\"{}\" matches no parameter; there are {}, and the kinds {KINDS}",
                group.matches,
                list(&names)
            );
            return Err(Error::setting("groups", problem));
        }
    }
    let of = |view: &ParamView| {
        if !view.trainable {
            return GroupFactors { lr: 0.0, decay: 0.0 };
        }
        let mine = groups.iter().filter(|group| group.has(view));
        mine.fold(GroupFactors { lr: 1.0, decay: 1.0 }, |factors, group| GroupFactors {
            lr: if group.frozen { 0.0 } else { factors.lr * group.lr },
            decay: factors.decay * group.decay,
        })
    };
    Ok(layout.views().iter().map(of).collect())
}

impl fmt::Display for Group {
    /// `0.*: lr=0.1, decay=0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.lr != 1.0 {
            parts.push(format!("lr={}", self.lr));
        }
        if self.decay != 1.0 {
            parts.push(format!("decay={}", self.decay));
        }
        if self.frozen {
            parts.push("frozen=true".to_string());
        }
        write!(f, "{}: {}", self.matches, parts.join(", "))
    }
}

impl FromStr for Group {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::setting("groups", problem);
        let form = "write groups such as 0.*: lr=0.1, decay=0; bias: decay=0; 2.*: frozen=true";
        let (matches, settings) = text
            .split_once(':')
            .ok_or_else(|| wrong(format!("\"{text}\" has no colon; {form}")))?;
        let matches = matches.trim();
        if matches.is_empty() {
            return Err(wrong(format!("\"{text}\" names no parameters; {form}")));
        }
        let mut group = Self { matches: matches.to_string(), lr: 1.0, decay: 1.0, frozen: false };
        for setting in settings.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| wrong(format!("{matches}: \"{setting}\" is no setting=value")))?;
            group.set(key.trim(), value.trim())?;
        }
        Ok(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sequential;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, want) in [
            ("0.*", "0.weight", true),
            ("0.*", "10.weight", false),
            ("*.bias", "10.bias", true),
            ("*", "0.weight", true),
            ("*a*b", "xaybzb", true),
            ("*a*b", "xayb.", false),
            ("0.weight", "0.weights", false),
            ("a*a", "a", false),
            ("*b*b*", "ab.b", true),
            // Each place of each star would take longer than anybody waits.
            (&("*".repeat(40) + "x"), "10.0.1.running_variance_of_all", false),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn factors_of_all_groups_are_multiplied() {
        let layout = Sequential::new().dense(3).relu().dense(2).layout(5).unwrap();
        let groups: Vec<Group> =
            ["0.*: lr=0.5, decay=0.5", "bias: decay=0", "2.weight: frozen=true"]
                .map(|text| text.parse().unwrap())
                .into();
        let got: Vec<_> =
            factors(&groups, &layout).unwrap().iter().map(|it| (it.lr, it.decay)).collect();
        assert_eq!(got, [(0.5, 0.5), (0.5, 0.0), (0.0, 1.0), (1.0, 0.0)]);
        for group in &groups {
            assert_eq!(group.to_string().parse::<Group>().unwrap(), *group);
        }
        assert!(factors(&[Group::without_decay("norm?")], &layout).is_ok());
        let said = factors(&[Group::without_decay("norm")], &layout).unwrap_err().to_string();
        assert!(
            said.contains("\"norm\" matches no parameter; there are `0.weight`, `0.bias`"),
            "{said}"
        );
    }

    #[test]
    fn wrong_groups_say_what_is_wrong() {
        for (text, part) in [
            ("0.*", "has no colon"),
            (": lr=1", "names no parameters"),
            ("0.*: lr", "no setting=value"),
            ("0.*: lr=fast", "not a number"),
            ("0.*: rate=1", "known: lr, decay, frozen"),
            ("0.*: frozen=1", "true or false"),
        ] {
            let said = text.parse::<Group>().unwrap_err().to_string();
            assert!(said.starts_with("groups: ") && said.contains(part), "{said}");
        }
        let said = Group::frozen("2.;").check().unwrap_err().to_string();
        assert!(said.starts_with("groups: \"2.;\" names no parameters"), "{said}");
        let group = "0.*: lr=-1".parse::<Group>().unwrap();
        assert!(group.check().unwrap_err().to_string().contains("0 or more"));
    }
}
