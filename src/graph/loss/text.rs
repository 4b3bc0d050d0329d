//! Losses as texts, and what the vocabulary says of them.

use std::fmt;
use std::str::FromStr;

use super::table::{ENTRIES, LOSSES, LossSetting, SettingValue};
use super::{Loss, Quantiles};
use crate::error::{Error, Result};
use crate::vocabulary::{Call, Entry, name_and_inner, plain, written};

impl Loss {
    /// Every loss, in the order in which help texts list them.
    pub const VOCABULARY: &'static [Entry] = &ENTRIES;

    /// Every loss with its defaults, in the same order.
    pub fn all() -> Vec<Self> {
        LOSSES.iter().map(|row| (row.default)()).collect()
    }

    /// The name in options and files, without arguments.
    pub fn name(&self) -> &'static str {
        self.row().map_or("custom", |row| row.entry.name)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Custom(custom) => return custom.fmt(f),
            Self::Pinball(quantiles) => {
                let list: Vec<String> = quantiles.as_slice().iter().map(f64::to_string).collect();
                return write!(f, "{}({})", self.name(), list.join(", "));
            }
            _ => {}
        }
        let mut copy = self.clone();
        let settings = copy.settings();
        let arguments: Vec<(&str, &dyn fmt::Display)> = settings
            .iter()
            .filter_map(|LossSetting { name, value, brief, .. }| match value {
                SettingValue::Number(value, _) if *brief && **value == 0.0 => None,
                SettingValue::Number(value, _) => Some((*name, value as &dyn fmt::Display)),
                SettingValue::Flag(on) => Some((*name, on as &dyn fmt::Display)),
            })
            .collect();
        f.write_str(&written(self.name(), &arguments))
    }
}

impl FromStr for Loss {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // The argument of this one is an expression, in which a comma or a sign means something else.
        if let Ok((name, inner)) = name_and_inner(text)
            && plain(name) == "custom"
        {
            return Self::custom(inner);
        }
        let mut call = Call::parse("loss", text)?;
        let Some(row) = LOSSES.iter().find(|row| row.entry.name == call.name()) else {
            let known: Vec<_> = Self::VOCABULARY.iter().map(|entry| entry.name).collect();
            let problem = format!("unknown name \"{text}\"; known: {}, custom", known.join(", "));
            return Err(Error::setting("loss", problem));
        };
        let mut loss = (row.default)();
        if let Self::Pinball(quantiles) = &mut loss {
            // The one argument that may be repeated.
            let mut given = Vec::new();
            while let Some(quantile) = call.number("quantile")? {
                given.push(quantile);
            }
            if !given.is_empty() {
                *quantiles = Quantiles::new(&given)?;
            }
        }
        for LossSetting { name, value, .. } in loss.settings() {
            match value {
                SettingValue::Number(value, _) => *value = call.number_or(name, *value)?,
                SettingValue::Flag(on) => match call.text(name)?.as_deref() {
                    None => {}
                    Some("false") => *on = false,
                    Some("true") => *on = true,
                    Some(other) => {
                        return Err(call.wrong(name, format!("is \"{other}\", not true or false")));
                    }
                },
            }
        }
        // Arguments that no loss has read are mistakes; ranges are checked last, on the finished loss.
        call.end()?;
        loss.check()?;
        Ok(loss)
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.to_string()
    }
}

impl TryFrom<String> for Loss {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vocabulary_lists_exactly_the_known_names() {
        let names: Vec<_> = Loss::VOCABULARY.iter().map(|entry| entry.name).collect();
        let all = Loss::all();
        assert_eq!(all.iter().map(|loss| loss.name()).collect::<Vec<_>>(), names);
        // A row whose default is another row's loss would have that row's name.
        for entry in Loss::VOCABULARY {
            assert_eq!(entry.name.parse::<Loss>().unwrap().name(), entry.name);
        }
        assert!(std::mem::size_of::<Loss>() < 200);
    }

    #[test]
    fn the_vocabulary_has_each_setting_with_its_default() {
        for mut loss in Loss::all() {
            let entry = Loss::VOCABULARY.iter().find(|entry| entry.name == loss.name()).unwrap();
            let told = match &loss {
                Loss::Pinball(Quantiles::MEDIAN) => "quantiles 0.5".to_string(),
                _ => {
                    let told = loss.settings().into_iter().map(|it| match it.value {
                        // Small ones are written as people write them.
                        SettingValue::Number(value, _) if 0.0 < *value && *value < 1e-3 => {
                            format!("{} {value:e}", it.name)
                        }
                        SettingValue::Number(value, _) => format!("{} {value}", it.name),
                        SettingValue::Flag(on) => format!("{} {on}", it.name),
                    });
                    told.collect::<Vec<_>>().join(", ")
                }
            };
            assert_eq!(entry.parameters, told, "{}", entry.name);
        }
    }

    #[test]
    fn texts_come_back() {
        for text in [
            "cross-entropy",
            "cross-entropy(label_smoothing=0.1)",
            "focal(gamma=1.5)",
            "huber(delta=1.5)",
            "smooth-l1(beta=0.5)",
            "pinball(0.1, 0.5, 0.9)",
            "gaussian-nll(full=true, eps=0.0001)",
            "poisson-nll(full=false)",
            "binary-focal(gamma=2, alpha=-1)",
            "binary-hinge(margin=2)",
        ] {
            let loss: Loss = text.parse().unwrap();
            assert_eq!(loss.to_string(), text);
            let json = serde_json::to_string(&loss).unwrap();
            assert_eq!(
                (json.as_str(), serde_json::from_str(&json).ok()),
                (&*format!("\"{text}\""), Some(loss))
            );
        }
        for loss in Loss::all() {
            assert_eq!(loss.to_string().parse::<Loss>().unwrap(), loss);
        }
        assert_eq!("Cross_Entropy(0)".parse::<Loss>().unwrap(), Loss::CROSS_ENTROPY);
        assert_eq!("huber".parse::<Loss>().unwrap(), Loss::Huber { delta: 1.0 });
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, want) in [
            ("l3", "unknown name \"l3\"; known: cross-entropy, focal"),
            ("huber(beta=1)", "unknown argument \"beta\"; huber has delta"),
            ("huber(0)", "delta of huber is 0, but it must be above 0"),
            ("mse(1)", "mse has no arguments"),
            ("pinball(0.5, 0.1)", "must rise"),
            ("pinball(1)", "the quantile 1, but it must lie between 0 and 1"),
            ("poisson-nll(full=yes)", "full of poisson-nll is \"yes\", not true or false"),
            ("cross-entropy(label-smoothing=2)", "must be from 0 to 1"),
        ] {
            let said = text.parse::<Loss>().unwrap_err().to_string();
            assert!(said.starts_with("loss: ") && said.contains(want), "{said}");
        }
    }
}
