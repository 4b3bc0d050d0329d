//! A loss with what a run does with it: how rows are put together, and whether they count differently.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::{Graph, NodeId, Op};
use super::Loss;
use crate::error::{Error, Result};
use crate::shape::Dim;

/// How the losses of a batch's rows become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Σ w l / Σ w, also over the columns of an elementwise loss.
    #[default]
    Mean,
    /// Σ w l
    Sum,
}

impl Reduction {
    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Reduction {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let wanted = name.trim().to_ascii_lowercase();
        [Self::Mean, Self::Sum].into_iter().find(|it| it.name() == wanted).ok_or_else(|| {
            let problem = format!("unknown name \"{name}\"; known: mean, sum");
            Error::setting("reduction", problem)
        })
    }
}

/// Objective of a training step. A [`Loss`] alone stands for its mean over rows of equal weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Which loss.
    pub loss: Loss,
    /// How rows are put together.
    pub reduction: Reduction,
    /// True if each row has a weight.
    pub weights: bool,
    /// True if there are constants: quantiles, positive weights of labels, weights of classes.
    pub constants: bool,
    /// Number of members whose outputs stand side by side, each with the row's targets; 1 for a network by itself.
    pub members: usize,
}

impl From<Loss> for Objective {
    fn from(loss: Loss) -> Self {
        let constants = matches!(loss, Loss::Pinball(_));
        Self { loss, reduction: Reduction::Mean, weights: false, constants, members: 1 }
    }
}

impl Objective {
    pub(in super::super) fn accepts(
        &self,
        columns: Dim,
        graph: &Graph,
        prediction: NodeId,
        targets: NodeId,
    ) -> bool {
        match (&graph.node(targets).op, columns) {
            (&Op::Targets { columns, classes }, Dim::Of(outputs)) => {
                let each = outputs / self.members.max(1);
                self.loss.classes() == classes
                    && outputs.is_multiple_of(self.members.max(1))
                    && self.loss.targets_for(each) == Some(columns)
            }
            _ => {
                self.members == 1
                    && !self.loss.classes()
                    && graph.shape(prediction) == graph.shape(targets)
            }
        }
    }
}
