//! Initial values of weights and biases: the schemes by name, and the values that they give.
//!
//! In: a layer's sizes and whether it is the first. Out: its values, from one stream of random numbers.
//! Absent on purpose: the places of values in the arena; see `params.rs`.

mod vocabulary;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::orthogonal::orthogonal;
use crate::error::{Error, Result};
use crate::random::Random;
use crate::shape::short;
use crate::vocabulary::{Call, written};

/// Initialisation of a dense layer's weight `[out, in]`. Names, gains and bounds are those of `torch.nn.init` if PyTorch
/// has the scheme. Biases start at 0 unless stated otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Init {
    /// `torch.nn.Linear`'s own: weight and bias uniform within ±1/√in
    #[default]
    Pytorch,
    /// Uniform within ±gain · √(3/fan) (`kaiming_uniform_`; He et al. 2015, arXiv:1502.01852)
    KaimingUniform {
        /// √2 by default; see [`gain`].
        gain: f64,
        /// By which side of the layer.
        fan: Fan,
    },
    /// Normal with standard deviation gain/√fan (`kaiming_normal_`)
    KaimingNormal {
        /// √2 by default; see [`gain`].
        gain: f64,
        /// By which side of the layer.
        fan: Fan,
    },
    /// Uniform within ±gain · √(6/(in + out)) (`xavier_uniform_`; Glorot and Bengio 2010)
    XavierUniform {
        /// 1 by default; see [`gain`].
        gain: f64,
    },
    /// Normal with standard deviation gain · √(2/(in + out)) (`xavier_normal_`)
    XavierNormal {
        /// 1 by default; see [`gain`].
        gain: f64,
    },
    /// Uniform within ±gain · √(3/in) (LeCun et al. 1998, Efficient BackProp, section 4.6)
    LecunUniform {
        /// 1 by default; see [`gain`].
        gain: f64,
    },
    /// Normal with standard deviation gain/√in (the same; with SELU, Klambauer et al. 2017, arXiv:1706.02515)
    LecunNormal {
        /// 1 by default; see [`gain`].
        gain: f64,
    },
    /// Rows, or columns if there are fewer, are orthogonal and of length gain (`orthogonal_`; Saxe et al. 2013,
    /// arXiv:1312.6120)
    Orthogonal {
        /// 1 by default; see [`gain`].
        gain: f64,
    },
    /// Normal, drawn anew outside of [a, b] (`trunc_normal_`); a and b are values, and not in standard deviations
    TruncNormal {
        /// The normal's mean.
        mean: f64,
        /// The normal's standard deviation.
        std: f64,
        /// Least value.
        a: f64,
        /// Largest value.
        b: f64,
    },
    /// All the same (`constant_`)
    Constant {
        /// The value.
        value: f64,
    },
    /// For sines of ω times the sum: uniform within ±1/in in the first layer, within ±√(6/in)/ω in the others; biases
    /// uniform within ±1/√in (Sitzmann et al. 2020, arXiv:2006.09661, and its authors' code)
    Siren {
        /// ω, 30 by default.
        omega: f64,
    },
    /// Standard normal, for layers that multiply the sum by 1/√in themselves (Jacot et al. 2018, arXiv:1806.07572)
    Ntk,
    /// As `Ntk`, and then training divides each output's weights by the deviation of its sums over up to 1,024 training
    /// rows, layer by layer with dropout, and takes for each bias −Σ s y of five random rows' sums y, with exponential shares s
    /// of sum 1 (`std` and `he+5` of RealMLP; Holzmüller et al. 2024, arXiv:2407.04491)
    UnitVariance,
}

/// A side of a layer: its inputs or its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// Keeps the size of values on the way forward.
    In,
    /// Keeps the size of gradients on the way back.
    Out,
}

/// Returns the factor by which weights compensate for the function after them, as `torch.nn.init.calculate_gain`. An
/// activation that PyTorch does not know, such as gelu, has none.
///
/// ```
/// assert_eq!(wgrad::model::gain("tanh"), Some(5.0 / 3.0));
/// ```
pub fn gain(nonlinearity: &str) -> Option<f64> {
    let slope: f64 = 0.01;
    match nonlinearity.to_ascii_lowercase().replace('-', "_").as_str() {
        "linear" | "identity" | "sigmoid" => Some(1.0),
        "tanh" => Some(5.0 / 3.0),
        "relu" => Some(2_f64.sqrt()),
        "leaky_relu" => Some((2.0 / (1.0 + slope * slope)).sqrt()),
        "selu" => Some(0.75),
        _ => None,
    }
}

impl Init {
    /// Kaiming's uniform scheme as it is by default.
    pub const KAIMING_UNIFORM: Self =
        Self::KaimingUniform { gain: std::f64::consts::SQRT_2, fan: Fan::In };

    /// Returns the name in options and files, without arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pytorch => "pytorch",
            Self::KaimingUniform { .. } => "kaiming-uniform",
            Self::KaimingNormal { .. } => "kaiming-normal",
            Self::XavierUniform { .. } => "xavier-uniform",
            Self::XavierNormal { .. } => "xavier-normal",
            Self::LecunUniform { .. } => "lecun-uniform",
            Self::LecunNormal { .. } => "lecun-normal",
            Self::Orthogonal { .. } => "orthogonal",
            Self::TruncNormal { .. } => "trunc-normal",
            Self::Constant { .. } => "constant",
            Self::Siren { .. } => "siren",
            Self::Ntk => "ntk",
            Self::UnitVariance => "unit-variance",
        }
    }

    /// Returns true if layers that start so multiply their sums by 1/√in, unless they say otherwise.
    pub fn is_ntk(self) -> bool {
        matches!(self, Self::Ntk | Self::UnitVariance)
    }

    /// Fills a weight `[out, in]`, row-major. `first` is true for the layer that reads the data.
    pub(crate) fn weight(
        self,
        values: &mut [f32],
        (inputs, outputs): (usize, usize),
        first: bool,
        random: &mut Random,
    ) {
        let (fan_in, fan_out) = (inputs as f64, outputs as f64);
        let of = |fan: Fan| if fan == Fan::In { fan_in } else { fan_out };
        match self {
            Self::Pytorch => uniform(values, 1.0 / fan_in.sqrt(), random),
            Self::KaimingUniform { gain, fan } => {
                uniform(values, gain * (3.0 / of(fan)).sqrt(), random);
            }
            Self::KaimingNormal { gain, fan } => normal(values, gain / of(fan).sqrt(), random),
            Self::XavierUniform { gain } => {
                uniform(values, gain * (6.0 / (fan_in + fan_out)).sqrt(), random);
            }
            Self::XavierNormal { gain } => {
                normal(values, gain * (2.0 / (fan_in + fan_out)).sqrt(), random);
            }
            Self::LecunUniform { gain } => uniform(values, gain * (3.0 / fan_in).sqrt(), random),
            Self::LecunNormal { gain } => normal(values, gain / fan_in.sqrt(), random),
            Self::Orthogonal { gain } => orthogonal(values, (outputs, inputs), gain, random),
            Self::TruncNormal { mean, std, a, b } => {
                let (low, high) = ((a - mean) / std, (b - mean) / std);
                for value in values {
                    *value = (mean + std * truncated(low, high, random)).clamp(a, b) as f32;
                }
            }
            Self::Constant { value } => values.fill(value as f32),
            Self::Siren { omega } => {
                let bound = if first { 1.0 / fan_in } else { (6.0 / fan_in).sqrt() / omega };
                uniform(values, bound, random);
            }
            Self::Ntk | Self::UnitVariance => normal(values, 1.0, random),
        }
    }

    /// Fills a bias `[out]`.
    pub(crate) fn bias(self, values: &mut [f32], inputs: usize, random: &mut Random) {
        match self {
            Self::Pytorch | Self::Siren { .. } => {
                uniform(values, 1.0 / (inputs as f64).sqrt(), random);
            }
            _ => values.fill(0.0),
        }
    }

    /// Checks each argument by itself.
    ///
    /// # Errors
    /// If an argument is out of its range.
    pub fn check(self) -> Result<()> {
        let require = |fits: bool, key: &str, value: f64, range: &str| {
            let problem =
                || format!("{key} of {} is {}, but it must be {range}", self.name(), short(value));
            if fits { Ok(()) } else { Err(Error::setting("init", problem())) }
        };
        let finite = |key, value: f64| require(value.is_finite(), key, value, "a finite number");
        let positive = |key, value: f64| {
            let fits = value > 0.0 && value.is_finite();
            require(fits, key, value, "a finite number above 0")
        };
        match self {
            Self::Pytorch | Self::Ntk | Self::UnitVariance => Ok(()),
            Self::KaimingUniform { gain, .. }
            | Self::KaimingNormal { gain, .. }
            | Self::XavierUniform { gain }
            | Self::XavierNormal { gain }
            | Self::LecunUniform { gain }
            | Self::LecunNormal { gain }
            | Self::Orthogonal { gain } => positive("gain", gain),
            Self::TruncNormal { mean, std, a, b } => {
                finite("mean", mean)?;
                positive("std", std)?;
                finite("a", a)?;
                require(b > a && b.is_finite(), "b", b, &format!("a finite number above a = {a}"))?;
                // As in PyTorch, which warns of it: hardly any draw falls into such an interval.
                let (from, to) = (a - 2.0 * std, b + 2.0 * std);
                let near = "within 2 std of the interval from a to b";
                require(from <= mean && mean <= to, "mean", mean, near)
            }
            Self::Constant { value } => finite("value", value),
            Self::Siren { omega } => positive("omega", omega),
        }
    }
}

fn uniform(values: &mut [f32], bound: f64, random: &mut Random) {
    for value in values {
        *value = random.uniform(-bound, bound) as f32;
    }
}

fn normal(values: &mut [f32], std: f64, random: &mut Random) {
    for value in values {
        *value = (std * random.normal()) as f32;
    }
}

/// Draws a standard normal number within an interval, by rejection: of normals if it is wide, of uniforms if it is narrow.
fn truncated(low: f64, high: f64, random: &mut Random) -> f64 {
    let wide = high - low > 2.5;
    // The point of the interval at which the density is largest.
    let top = 0.0_f64.clamp(low, high);
    loop {
        let (value, likely) = if wide {
            (random.normal(), 1.0)
        } else {
            let value = random.uniform(low, high);
            (value, ((top * top - value * value) / 2.0).exp())
        };
        if (low..=high).contains(&value) && (wide || random.unit() < likely) {
            return value;
        }
    }
}

/// A gain as a number, or as the name of what follows the layer.
fn read_gain(call: &mut Call<'_>, default: f64) -> Result<f64> {
    let Some(text) = call.text("gain")? else { return Ok(default) };
    text.parse().ok().or_else(|| gain(&text)).ok_or_else(|| {
        call.wrong(
            "gain",
            format!(
                "is \"{text}\"; give a number, or one of linear, sigmoid, tanh, relu, leaky_relu, selu"
            ),
        )
    })
}

fn read_fan(call: &mut Call<'_>) -> Result<Fan> {
    match call.text("fan")?.as_deref() {
        None | Some("in") => Ok(Fan::In),
        Some("out") => Ok(Fan::Out),
        Some(text) => Err(call.wrong("fan", format!("is \"{text}\"; known: in, out"))),
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        f.write_str(&match self {
            Self::Pytorch | Self::Ntk | Self::UnitVariance => name.to_string(),
            // As they have always been written.
            Self::KaimingUniform { gain, fan: Fan::In }
            | Self::KaimingNormal { gain, fan: Fan::In }
                if *gain == std::f64::consts::SQRT_2 =>
            {
                name.to_string()
            }
            Self::KaimingUniform { gain, fan } | Self::KaimingNormal { gain, fan } => {
                let fan = if *fan == Fan::In { "in" } else { "out" };
                written(name, &[("gain", gain), ("fan", &fan)])
            }
            Self::XavierUniform { gain: 1.0 } | Self::XavierNormal { gain: 1.0 } => {
                name.to_string()
            }
            Self::XavierUniform { gain }
            | Self::XavierNormal { gain }
            | Self::LecunUniform { gain }
            | Self::LecunNormal { gain }
            | Self::Orthogonal { gain } => written(name, &[("gain", gain)]),
            Self::TruncNormal { mean, std, a, b } => {
                written(name, &[("mean", mean), ("std", std), ("a", a), ("b", b)])
            }
            Self::Constant { value } => written(name, &[("value", value)]),
            Self::Siren { omega } => written(name, &[("omega", omega)]),
        })
    }
}

impl FromStr for Init {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut call = Call::parse("init", text)?;
        let root = std::f64::consts::SQRT_2;
        let init = match call.name() {
            "pytorch" => Self::Pytorch,
            "kaiming-uniform" => Self::KaimingUniform {
                gain: read_gain(&mut call, root)?,
                fan: read_fan(&mut call)?,
            },
            "kaiming-normal" => {
                Self::KaimingNormal { gain: read_gain(&mut call, root)?, fan: read_fan(&mut call)? }
            }
            "xavier-uniform" => Self::XavierUniform { gain: read_gain(&mut call, 1.0)? },
            "xavier-normal" => Self::XavierNormal { gain: read_gain(&mut call, 1.0)? },
            "lecun-uniform" => Self::LecunUniform { gain: read_gain(&mut call, 1.0)? },
            "lecun-normal" => Self::LecunNormal { gain: read_gain(&mut call, 1.0)? },
            "orthogonal" => Self::Orthogonal { gain: read_gain(&mut call, 1.0)? },
            "trunc-normal" => Self::TruncNormal {
                mean: call.number_or("mean", 0.0)?,
                std: call.number_or("std", 1.0)?,
                a: call.number_or("a", -2.0)?,
                b: call.number_or("b", 2.0)?,
            },
            "constant" => Self::Constant { value: call.needed("value")? },
            "siren" => Self::Siren { omega: call.number_or("omega", 30.0)? },
            "ntk" => Self::Ntk,
            "unit-variance" => Self::UnitVariance,
            name => {
                let known: Vec<_> = Self::VOCABULARY.iter().map(|entry| entry.name).collect();
                let known = known.join(", ");
                let problem = format!(
                    "unknown scheme \"{name}\"; known: {known}, or a file ending in .safetensors"
                );
                return Err(Error::setting("init", problem));
            }
        };
        call.end()?;
        init.check()?;
        Ok(init)
    }
}

impl TryFrom<String> for Init {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Init> for String {
    fn from(init: Init) -> Self {
        init.to_string()
    }
}

#[cfg(test)]
mod tests;
