//! The schedules by name, with their arguments as options and files write them.
//!
//! Out: [`ScheduleKind`], checked. Absent on purpose: the rates; see `mod.rs`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::Metric;
use super::Plateau;
use crate::error::{Error, Result};
use crate::shape::short;
use crate::vocabulary::{Call, written};

/// Course of a rate over a run, as fractions of its peak. Formulas and defaults are those of `torch.optim.lr_scheduler`
/// where it has the schedule; t counts optimizer steps after the warm-up, T is how many there are, and what is given in
/// epochs may be a fraction.
///
/// ```
/// use wgrad::prelude::*;
///
/// let schedule: ScheduleKind = "step(every=10, gamma=0.5)".parse()?;
/// let options = TrainOptions { schedule, ..TrainOptions::default() };
/// assert_eq!(options.schedule.name(), "step");
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ScheduleKind {
    /// The same for all steps
    #[default]
    Constant,
    /// γ^⌊t/S⌋ (`StepLR`)
    Step {
        /// S in epochs.
        every: f64,
        /// γ
        gamma: f64,
    },
    /// γ^(milestones that are past) (`MultiStepLR`)
    MultiStep {
        /// Epochs from the end of the warm-up, rising.
        milestones: Vec<f64>,
        /// γ
        gamma: f64,
    },
    /// γ^(t in epochs), a little less each step (`ExponentialLR`, which falls once an epoch)
    Exponential {
        /// γ, the factor of an epoch.
        gamma: f64,
    },
    /// (1 − t/T)^p (`PolynomialLR`); p = 1 falls linearly
    Polynomial {
        /// p
        power: f64,
    },
    /// end + (1 − end)/2 (1 + cos(π t/T)) (`CosineAnnealingLR`; Loshchilov and Hutter 2016, arXiv:1608.03983)
    Cosine {
        /// Final value; PyTorch's `eta_min` as a fraction of the peak.
        end: f64,
    },
    /// The cosine over and over, from the peak each time (`CosineAnnealingWarmRestarts`; the same paper)
    CosineRestarts {
        /// The first cycle in epochs, PyTorch's `T_0`.
        every: f64,
        /// How much longer each cycle is than the one before, PyTorch's `T_mult`.
        mult: u32,
        /// Final value of each cycle, as a fraction of the peak.
        end: f64,
    },
    /// From 1/div up to 1 over the first fraction of the steps, then down to 1/(div · final), both along a cosine
    /// (`OneCycleLR`; Smith and Topin 2017, arXiv:1708.07120); the momentum stays
    OneCycle {
        /// Share of the steps that rise.
        pct_start: f64,
        /// The peak over the first rate.
        div_factor: f64,
        /// The first rate over the last.
        final_div_factor: f64,
    },
    /// 1 until t/T = flat, then along a cosine to the end; flat = 0.5 and end = 0 are `flat_cos` of Holzmüller
    /// et al. 2024, arXiv:2407.04491
    FlatCosine {
        /// Share of the steps that are flat.
        flat: f64,
        /// Final value, as a fraction of the peak.
        end: f64,
    },
    /// ½ (1 − cos(2π log₂(1 + 15 t/T))): four cycles, each twice as long as the one before, all from 0 to 0
    /// (`coslog4` of RealMLP; Holzmüller et al. 2024, arXiv:2407.04491)
    CosLog4,
    /// √(τ/(τ + t)) (Vaswani et al. 2017, arXiv:1706.03762, where τ is the warm-up)
    InverseSqrt {
        /// τ in epochs; `None` for the warm-up, or one epoch where there is none.
        timescale: Option<f64>,
    },
    /// Lower each time that a metric no longer improves (`ReduceLROnPlateau`)
    Plateau(Plateau),
}

impl ScheduleKind {
    /// The cosine that ends at 0.
    pub const COSINE: Self = Self::Cosine { end: 0.0 };

    /// The name in options and files, without arguments.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Step { .. } => "step",
            Self::MultiStep { .. } => "multi-step",
            Self::Exponential { .. } => "exponential",
            Self::Polynomial { .. } => "polynomial",
            Self::Cosine { .. } => "cosine",
            Self::CosineRestarts { .. } => "cosine-restarts",
            Self::OneCycle { .. } => "one-cycle",
            Self::FlatCosine { .. } => "flat-cosine",
            Self::CosLog4 => "cos-log-4",
            Self::InverseSqrt { .. } => "inverse-sqrt",
            Self::Plateau(_) => "plateau",
        }
    }

    /// True if the rate of a step depends on how long the run is.
    pub fn depends_on_length(&self) -> bool {
        match self {
            Self::Polynomial { .. }
            | Self::Cosine { .. }
            | Self::OneCycle { .. }
            | Self::FlatCosine { .. }
            | Self::CosLog4 => true,
            Self::Constant
            | Self::Step { .. }
            | Self::MultiStep { .. }
            | Self::Exponential { .. }
            | Self::CosineRestarts { .. }
            | Self::InverseSqrt { .. }
            | Self::Plateau(_) => false,
        }
    }

    /// Reads a schedule such as `cosine` or `step(every=10, gamma=0.5)`; errors speak of the option.
    ///
    /// # Errors
    /// If there is none of this name, or an argument is unknown, missing or out of range.
    pub fn parse(option: &str, text: &str) -> Result<Self> {
        let mut call = Call::parse(option, text)?;

        let kind = match call.name() {
            "constant" => Self::Constant,
            "step" => {
                Self::Step { every: call.needed("every")?, gamma: call.number_or("gamma", 0.1)? }
            }
            "multi-step" => Self::MultiStep {
                milestones: call.numbers("milestones")?,
                gamma: call.number_or("gamma", 0.1)?,
            },
            "exponential" => Self::Exponential { gamma: call.needed("gamma")? },
            "polynomial" => Self::Polynomial { power: call.number_or("power", 1.0)? },
            "cosine" => Self::Cosine { end: call.number_or("end", 0.0)? },
            "cosine-restarts" => Self::CosineRestarts {
                every: call.needed("every")?,
                mult: call.number_or("mult", 1)?,
                end: call.number_or("end", 0.0)?,
            },
            "one-cycle" => Self::OneCycle {
                pct_start: call.number_or("pct_start", 0.3)?,
                div_factor: call.number_or("div_factor", 25.0)?,
                final_div_factor: call.number_or("final_div_factor", 1e4)?,
            },
            "flat-cosine" => Self::FlatCosine {
                flat: call.number_or("flat", 0.5)?,
                end: call.number_or("end", 0.0)?,
            },
            "cos-log-4" => Self::CosLog4,
            "inverse-sqrt" => Self::InverseSqrt { timescale: call.number("timescale")? },
            "plateau" => Self::Plateau(plateau(&mut call)?),
            name => {
                let known: Vec<_> = Self::VOCABULARY.iter().map(|entry| entry.name).collect();
                let problem = format!("unknown name \"{name}\"; known: {}", known.join(", "));
                return Err(Error::setting(option, problem));
            }
        };
        call.end()?;
        kind.check(option)?;
        Ok(kind)
    }

    /// Checks each argument by itself; errors name the option.
    ///
    /// # Errors
    /// If an argument is out of its range.
    pub fn check(&self, option: &str) -> Result<()> {
        let require = |fits: bool, key: &str, value: f64, range: &str| {
            let problem =
                || format!("{key} of {} is {}, but it must be {range}", self.name(), short(value));
            if fits { Ok(()) } else { Err(Error::setting(option, problem())) }
        };
        let finite = |value: f64| value.is_finite();
        let share =
            |key, value: f64| require((0.0..=1.0).contains(&value), key, value, "between 0 and 1");
        let positive = |key, value: f64| {
            require(value > 0.0 && finite(value), key, value, "a finite number above 0")
        };
        let at_least_1 = |key, value: f64| {
            require(value >= 1.0 && finite(value), key, value, "a finite number of 1 or more")
        };
        match self {
            Self::Constant | Self::CosLog4 => Ok(()),
            Self::Step { every, gamma } => positive("every", *every).and(share("gamma", *gamma)),
            // Each milestone multiplies the rate once, so their order must be strict.
            Self::MultiStep { milestones, gamma } => {
                for (index, milestone) in milestones.iter().enumerate() {
                    positive("milestones", *milestone)?;
                    let rises = index == 0 || milestones[index - 1] < *milestone;
                    require(rises, "milestones", *milestone, "above the one before it")?;
                }
                share("gamma", *gamma)
            }
            Self::Exponential { gamma } => positive("gamma", *gamma).and(share("gamma", *gamma)),
            Self::Polynomial { power } => positive("power", *power),
            Self::Cosine { end } => share("end", *end),
            Self::CosineRestarts { every, mult, end } => {
                positive("every", *every)?;
                at_least_1("mult", (*mult).into())?;
                share("end", *end)
            }
            Self::OneCycle { pct_start, div_factor, final_div_factor } => {
                share("pct_start", *pct_start)?;
                at_least_1("div_factor", *div_factor)?;
                at_least_1("final_div_factor", *final_div_factor)
            }
            Self::FlatCosine { flat, end } => share("flat", *flat).and(share("end", *end)),
            Self::InverseSqrt { timescale } => positive("timescale", timescale.unwrap_or(1.0)),
            Self::Plateau(plateau) => {
                let Plateau { factor, threshold, min, eps, .. } = *plateau;
                require(factor > 0.0 && factor < 1.0, "factor", factor, "above 0 and below 1")?;
                require(
                    threshold >= 0.0 && finite(threshold),
                    "threshold",
                    threshold,
                    "0 or more",
                )?;
                require(eps >= 0.0 && finite(eps), "eps", eps, "0 or more")?;
                share("min", min)
            }
        }
    }
}

fn plateau(call: &mut Call<'_>) -> Result<Plateau> {
    let default = Plateau::default();
    Ok(Plateau {
        factor: call.number_or("factor", default.factor)?,
        patience: call.number_or("patience", default.patience)?,
        threshold: call.number_or("threshold", default.threshold)?,
        relative: match call.text("mode")?.as_deref() {
            None | Some("rel") => true,
            Some("abs") => false,
            Some(mode) => return Err(call.wrong("mode", format!("is \"{mode}\"; known: rel, abs"))),
        },
        cooldown: call.number_or("cooldown", default.cooldown)?,
        min: call.number_or("min", default.min)?,
        eps: call.number_or("eps", default.eps)?,
        metric: match call.text("metric")?.as_deref() {
            None => default.metric,
            Some(name) => Metric::by_name(name)
                .map_err(|problem| call.wrong("metric", format!("has an {problem}")))?,
        },
    })
}

impl fmt::Display for ScheduleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        f.write_str(&match self {
            Self::Constant | Self::CosLog4 | Self::InverseSqrt { timescale: None } => {
                name.to_string()
            }
            Self::Step { every, gamma } => written(name, &[("every", every), ("gamma", gamma)]),
            Self::MultiStep { milestones, gamma } => {
                let list: Vec<_> = milestones.iter().map(f64::to_string).collect();
                let list = format!("[{}]", list.join(", "));
                written(name, &[("milestones", &list), ("gamma", gamma)])
            }
            Self::Exponential { gamma } => written(name, &[("gamma", gamma)]),
            Self::Polynomial { power } => written(name, &[("power", power)]),
            Self::Cosine { end: 0.0 } => name.to_string(),
            Self::Cosine { end } => written(name, &[("end", end)]),
            Self::CosineRestarts { every, mult, end } => {
                written(name, &[("every", every), ("mult", mult), ("end", end)])
            }
            Self::OneCycle { pct_start, div_factor, final_div_factor } => written(
                name,
                &[
                    ("pct_start", pct_start),
                    ("div_factor", div_factor),
                    ("final_div_factor", final_div_factor),
                ],
            ),
            Self::FlatCosine { flat, end } => written(name, &[("flat", flat), ("end", end)]),
            Self::InverseSqrt { timescale: Some(timescale) } => {
                written(name, &[("timescale", timescale)])
            }
            Self::Plateau(p) => written(
                name,
                &[
                    ("factor", &p.factor),
                    ("patience", &p.patience),
                    ("threshold", &p.threshold),
                    ("mode", if p.relative { &"rel" } else { &"abs" }),
                    ("cooldown", &p.cooldown),
                    ("min", &p.min),
                    ("eps", &p.eps),
                    ("metric", &p.metric),
                ],
            ),
        })
    }
}

impl FromStr for ScheduleKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse("schedule", text)
    }
}

impl TryFrom<String> for ScheduleKind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ScheduleKind> for String {
    fn from(kind: ScheduleKind) -> Self {
        kind.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each, in the vocabulary's order.
    const EXAMPLES: [&str; 12] = [
        "constant",
        "step(every=10, gamma=0.5)",
        "multi-step(milestones=[1.5, 30], gamma=0.1)",
        "exponential(gamma=0.95)",
        "polynomial(power=2)",
        "cosine(end=0.01)",
        "cosine-restarts(every=2, mult=2, end=0)",
        "one-cycle(pct_start=0.3, div_factor=25, final_div_factor=10000)",
        "flat-cosine(flat=0.75, end=0.00001)",
        "cos-log-4",
        "inverse-sqrt(timescale=0.5)",
        "plateau(factor=0.5, patience=3, threshold=0.01, mode=abs, cooldown=1, min=0.001, eps=0, metric=accuracy)",
    ];

    #[test]
    fn the_vocabulary_lists_the_known_names() {
        let names: Vec<_> = ScheduleKind::VOCABULARY.iter().map(|entry| entry.name).collect();
        let kinds: Vec<ScheduleKind> = EXAMPLES.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(names, kinds.iter().map(ScheduleKind::name).collect::<Vec<_>>());
        let said = "steps".parse::<ScheduleKind>().unwrap_err().to_string();
        assert_eq!(said, format!("schedule: unknown name \"steps\"; known: {}", names.join(", ")));
    }

    #[test]
    fn what_is_written_is_read() {
        for text in EXAMPLES {
            let kind: ScheduleKind = text.parse().unwrap();
            assert_eq!(kind.to_string(), text);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<ScheduleKind>(&json).unwrap(), kind);
        }
        assert_eq!("Cosine".parse::<ScheduleKind>().unwrap(), ScheduleKind::COSINE);
        assert_eq!(ScheduleKind::COSINE.to_string(), "cosine");
        let plateau = "plateau".parse::<ScheduleKind>().unwrap();
        assert_eq!(plateau, ScheduleKind::Plateau(Plateau::default()));
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        for (text, want) in [
            ("step(0)", "every of step is 0, but it must be a finite number above 0"),
            ("step(1, 2)", "gamma of step is 2, but it must be between 0 and 1"),
            (
                "multi-step([3, 2])",
                "milestones of multi-step is 2, but it must be above the one before it",
            ),
            (
                "cosine-restarts(1, 0)",
                "mult of cosine-restarts is 0, but it must be a finite number of 1 or more",
            ),
            (
                "exponential(nan)",
                "gamma of exponential is NaN, but it must be a finite number above 0",
            ),
            ("plateau(factor=1)", "factor of plateau is 1, but it must be above 0 and below 1"),
            ("plateau(mode=min)", "mode of plateau is \"min\"; known: rel, abs"),
            ("plateau(metric=fun)", "metric of plateau has an unknown name \"fun\"; known: loss, "),
            ("cosine(eta_min=0)", "unknown argument \"eta_min\"; cosine has end"),
        ] {
            let said = ScheduleKind::parse("decay_schedule", text).unwrap_err().to_string();
            assert!(said.starts_with(&format!("decay_schedule: {want}")), "{said}");
        }
    }
}
