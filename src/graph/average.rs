//! Averages of the weights over a run, which validation and saved models then take instead of the last ones.

use std::fmt;
use std::str::FromStr;

use super::optimizer::UpdateContext;
use crate::error::{Error, Result};
use crate::vocabulary::{Call, Entry};

/// How weights are averaged, as `torch.optim.swa_utils.AveragedModel` does it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Average {
    /// a ← d a + (1 − d) w after each move; the first move copies. d is `decay`, but at first less:
    /// (1 + t) / (`warmup` + t) after t moves, so that the first weights are soon forgotten. `get_ema_multi_avg_fn`
    /// has no such start: `warmup` 0.
    Ema {
        /// d, at least 0 and below 1.
        decay: f64,
        /// How slowly it is reached; 0 for at once.
        warmup: f64,
    },
    /// a ← a + (w − a) / (n + 1): the plain mean of the weights after each epoch, or each move, from an epoch on.
    /// Before, the average is the weights themselves.
    Swa {
        /// Epochs before the first that counts.
        start: u32,
        /// True if each update is averaged, not only the last one of each epoch.
        each_step: bool,
    },
}

impl Average {
    /// Entries for the document of the vocabulary.
    pub const VOCABULARY: &'static [Entry] = &[
        Entry {
            name: "ema",
            formula: "a ← d a + (1 − d) w after each move; d = min(decay, (1 + t) / (warmup + t)) after t moves",
            parameters: "decay 0.999, warmup 10",
            source: "torch.optim.swa_utils.get_ema_multi_avg_fn (warmup 0); tf.train.ExponentialMovingAverage (num_updates)",
        },
        Entry {
            name: "swa",
            formula: "a ← a + (w − a) / (n + 1) after each epoch, or step, from an epoch on",
            parameters: "start 0 (epochs), each epoch",
            source: "torch.optim.swa_utils.get_swa_multi_avg_fn; Izmailov et al. 2018, arXiv:1803.05407",
        },
    ];

    /// Returns the share of the weights in the average after `moves` earlier updates, if it holds `averaged` of them; and whether
    /// these weights then count among those.
    pub(super) fn share(self, moves: u64, averaged: u64, moment: UpdateContext) -> (f64, bool) {
        match self {
            Self::Ema { .. } if moves == 0 => (1.0, true),
            Self::Ema { decay, warmup } => {
                let t = moves as f64;
                let decay = if warmup > 0.0 { decay.min((1.0 + t) / (warmup + t)) } else { decay };
                (1.0 - decay, true)
            }
            Self::Swa { start, each_step } => {
                if moment.epoch >= start && (each_step || moment.last) {
                    (1.0 / (averaged as f64 + 1.0), true)
                } else if averaged == 0 {
                    (1.0, false)
                } else {
                    (0.0, false)
                }
            }
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// If one lies outside of what it may be.
    pub fn check(&self) -> Result<()> {
        let Self::Ema { decay, warmup } = *self else { return Ok(()) };
        if !(0.0..1.0).contains(&decay) {
            let problem = format!("decay: {decay}, but it must be at least 0 and below 1");
            return Err(Error::setting("average", problem));
        }
        if !(warmup == 0.0 || (warmup >= 1.0 && warmup.is_finite())) {
            let problem = format!("warmup: {warmup}, but it must be 0, or a number of 1 or more");
            return Err(Error::setting("average", problem));
        }
        Ok(())
    }
}

impl FromStr for Average {
    type Err = Error;

    /// `ema`, `ema(decay=0.99)`, `swa(start=20, each=step)`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::setting("average", problem);
        let mut call = Call::parse("average", text)?;
        let name = call.name().to_string();
        let mut average = match name.as_str() {
            "ema" => Self::Ema { decay: 0.999, warmup: 10.0 },
            "swa" => Self::Swa { start: 0, each_step: false },
            _ => return Err(wrong(format!("unknown name \"{name}\"; known: ema, swa"))),
        };
        for (key, value) in call.settings()? {
            let number = |what: &str| wrong(format!("{key}: \"{value}\" is not {what}"));
            match (&mut average, key.as_str()) {
                (Self::Ema { decay, .. }, "decay") => {
                    *decay = value.parse().map_err(|_| number("a number"))?;
                }
                (Self::Ema { warmup, .. }, "warmup") => {
                    *warmup = value.parse().map_err(|_| number("a number"))?;
                }
                (Self::Swa { start, .. }, "start") => {
                    *start = value.parse().map_err(|_| number("a whole number of epochs"))?;
                }
                (Self::Swa { each_step, .. }, "each") => {
                    *each_step = match value.as_str() {
                        "step" => true,
                        "epoch" => false,
                        _ => return Err(number("epoch or step")),
                    }
                }
                _ => {
                    let known = if name == "ema" { "decay, warmup" } else { "start, each" };
                    return Err(wrong(format!("{name} has no setting \"{key}\"; it has {known}")));
                }
            }
        }
        Ok(average)
    }
}

impl fmt::Display for Average {
    /// The text that is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ema { decay, warmup } => write!(f, "ema(decay={decay}, warmup={warmup})"),
            Self::Swa { start, each_step } => {
                write!(f, "swa(start={start}, each={})", if each_step { "step" } else { "epoch" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written() {
        for text in ["ema(decay=0.99, warmup=0)", "swa(start=3, each=step)"] {
            assert_eq!(text.parse::<Average>().unwrap().to_string(), text);
        }
        for (text, part) in [
            ("mean", "known: ema, swa"),
            ("ema(start=1)", "it has decay, warmup"),
            ("swa(each=day)", "epoch or step"),
            ("swa(start=-1)", "whole number"),
        ] {
            let said = text.parse::<Average>().unwrap_err().to_string();
            assert!(said.starts_with("average: ") && said.contains(part), "{said}");
        }
        assert!("ema(decay=1)".parse::<Average>().unwrap().check().is_err());
    }

    #[test]
    fn the_vocabulary_lists_the_known_names() {
        for entry in Average::VOCABULARY {
            assert!(entry.name.parse::<Average>().is_ok(), "{}", entry.name);
        }
        let said = "?".parse::<Average>().unwrap_err().to_string();
        let names: Vec<_> = Average::VOCABULARY.iter().map(|entry| entry.name).collect();
        assert!(said.ends_with(&names.join(", ")), "{said}");
    }
}
