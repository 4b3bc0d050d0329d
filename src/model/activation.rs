//! Activation functions: names, and what their gradients need.
//!
//! The formulas live with the kernels: `device/cpu/activation.rs` and `shaders/activation.wgsl`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// An elementwise function between dense layers. Formulas and defaults are PyTorch's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// y = x
    Identity,
    /// y = max(x, 0); the gradient at 0 is 0
    #[default]
    Relu,
    /// y = x for x > 0, else 0.01 x
    LeakyRelu,
    /// y = tanh x
    Tanh,
    /// y = 1 / (1 + exp(-x))
    Sigmoid,
    /// y = x Φ(x), Φ the standard normal distribution function (with erf)
    Gelu,
    /// y = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))
    GeluTanh,
    /// y = x / (1 + exp(-x))
    Silu,
}

impl Activation {
    /// Every activation, in the order in which help texts list them.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Relu,
        Self::LeakyRelu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Gelu,
        Self::GeluTanh,
        Self::Silu,
    ];

    /// The name in options, files and printed plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Relu => "relu",
            Self::LeakyRelu => "leaky_relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
        }
    }

    /// Whether dy/dx is a function of y alone. Otherwise the backward pass needs x.
    pub fn gradient_from_output(self) -> bool {
        match self {
            Self::Identity | Self::Relu | Self::LeakyRelu | Self::Tanh | Self::Sigmoid => true,
            Self::Gelu | Self::GeluTanh | Self::Silu => false,
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.to_ascii_lowercase().replace('-', "_");
        Self::ALL.into_iter().find(|activation| activation.name() == wanted).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|a| a.name()).collect();
            Error::setting(
                "--activation",
                format!("unknown name \"{name}\"; known: {}", known.join(", ")),
            )
        })
    }
}
