//! Losses: names and what they accept. The formulas live with the kernels `loss_cross_entropy` and `loss_mse`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Graph, NodeId, Op};
use crate::error::{Error, Result};
use crate::shape::Dim;

/// What training makes small: a mean over the rows of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// −log softmax(logits)\[class\], as `torch.nn.CrossEntropyLoss`
    CrossEntropy,
    /// (prediction − target)², mean over columns too, as `torch.nn.MSELoss`
    Mse,
}

impl Loss {
    /// Every loss, in the order in which help texts list them.
    pub const ALL: [Self; 2] = [Self::CrossEntropy, Self::Mse];

    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mse",
        }
    }

    /// Whether its targets are classes.
    pub fn classes(self) -> bool {
        self == Self::CrossEntropy
    }

    pub(super) fn accepts(
        self,
        columns: Dim,
        graph: &Graph,
        prediction: NodeId,
        targets: NodeId,
    ) -> bool {
        match (&graph.node(targets).op, columns) {
            (Op::Targets { columns: classes, classes: true }, Dim::Of(n)) => {
                self.classes() && *classes == n
            }
            _ => !self.classes() && graph.shape(prediction) == graph.shape(targets),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Loss {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.to_ascii_lowercase().replace('_', "-");
        Self::ALL.into_iter().find(|loss| loss.name() == wanted).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|l| l.name()).collect();
            Error::setting(
                "--loss",
                format!("unknown name \"{name}\"; known: {}", known.join(", ")),
            )
        })
    }
}
