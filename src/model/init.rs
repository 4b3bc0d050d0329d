//! Initial values of weights and biases.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::random::Random;

/// How a dense layer's weight `[out, in]` starts. Names, gains and bounds are those of `torch.nn.init`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// `torch.nn.Linear`'s own: weight and bias uniform within ±1/√in
    #[default]
    Pytorch,
    /// Uniform within ±√2 · √(3/in), bias 0 (He et al. 2015, arXiv:1502.01852)
    KaimingUniform,
    /// Normal with standard deviation √(2/in), bias 0
    KaimingNormal,
    /// Uniform within ±√(6/(in + out)), bias 0 (Glorot and Bengio 2010)
    XavierUniform,
    /// Normal with standard deviation √(2/(in + out)), bias 0
    XavierNormal,
}

impl Init {
    /// Every scheme, in the order in which help texts list them.
    pub const ALL: [Self; 5] = [
        Self::Pytorch,
        Self::KaimingUniform,
        Self::KaimingNormal,
        Self::XavierUniform,
        Self::XavierNormal,
    ];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pytorch => "pytorch",
            Self::KaimingUniform => "kaiming-uniform",
            Self::KaimingNormal => "kaiming-normal",
            Self::XavierUniform => "xavier-uniform",
            Self::XavierNormal => "xavier-normal",
        }
    }

    /// Fills a weight `[out, in]`, row-major.
    pub(crate) fn weight(
        self,
        values: &mut [f32],
        inputs: usize,
        outputs: usize,
        random: &mut Random,
    ) {
        let (fan_in, fan_out) = (inputs as f64, outputs as f64);
        match self {
            Self::Pytorch => uniform(values, 1.0 / fan_in.sqrt(), random),
            Self::KaimingUniform => uniform(values, (6.0 / fan_in).sqrt(), random),
            Self::KaimingNormal => normal(values, (2.0 / fan_in).sqrt(), random),
            Self::XavierUniform => uniform(values, (6.0 / (fan_in + fan_out)).sqrt(), random),
            Self::XavierNormal => normal(values, (2.0 / (fan_in + fan_out)).sqrt(), random),
        }
    }

    /// Fills a bias `[out]`.
    pub(crate) fn bias(self, values: &mut [f32], inputs: usize, random: &mut Random) {
        match self {
            Self::Pytorch => uniform(values, 1.0 / (inputs as f64).sqrt(), random),
            _ => values.fill(0.0),
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

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Init {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.to_ascii_lowercase().replace('_', "-");
        Self::ALL.into_iter().find(|init| init.name() == wanted).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|i| i.name()).collect();
            Error::setting(
                "--init",
                format!(
                    "unknown scheme \"{name}\"; known: {}, or a file ending in .safetensors",
                    known.join(", ")
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed};

    fn spread(init: Init) -> (f64, f64) {
        let (inputs, outputs) = (50, 200);
        let mut values = vec![0.0; inputs * outputs];
        init.weight(&mut values, inputs, outputs, &mut Seed(5).stream(Purpose::Init));
        let var = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64;
        let largest = values.iter().fold(0.0_f64, |m, &v| m.max(f64::from(v).abs()));
        (var, largest)
    }

    #[test]
    fn variances_are_those_of_the_papers() {
        // Uniform within ±b has variance b²/3.
        for (init, var) in [
            (Init::Pytorch, 1.0 / 50.0 / 3.0),
            (Init::KaimingUniform, 2.0 / 50.0),
            (Init::KaimingNormal, 2.0 / 50.0),
            (Init::XavierUniform, 2.0 / 250.0),
            (Init::XavierNormal, 2.0 / 250.0),
        ] {
            let (got, _) = spread(init);
            assert!((got / var - 1.0).abs() < 0.06, "{init}: {got}, want {var}");
        }
    }

    #[test]
    fn uniform_schemes_keep_their_bounds() {
        for (init, bound) in
            [(Init::Pytorch, 1.0 / 50_f64.sqrt()), (Init::XavierUniform, (6.0 / 250.0_f64).sqrt())]
        {
            let (_, largest) = spread(init);
            assert!(largest <= bound * 1.000_001 && largest > 0.99 * bound, "{init}: {largest}");
        }
    }
}
