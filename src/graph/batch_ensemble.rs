//! Ensembles that share their weights as combinations of operations, and the mean of what their members predict.
//!
//! In: a layer's input, or the members' outputs side by side. Out: the members' outputs, or those of one network.
//! Absent on purpose: the other layers, which work on all members' columns alike (`layers.rs`).

use super::layers::Forward;
use super::{Loss, MemberOutputs, NodeId, Op, RequiredTarget};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::ClassLoss;
use crate::model::{BatchEnsemble, Layer};

/// The ensemble whose members' columns the layers of a forward pass get.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedMembers {
    count: usize,
    /// True if the members share biases too.
    mini: bool,
}

fn x(index: u8) -> Expr {
    Expr::input(index)
}

impl Forward {
    /// Appends an ensemble. Returns the outputs of all members, side by side.
    pub(super) fn batch_ensemble(
        &mut self,
        input: NodeId,
        place: &str,
        ensemble: &BatchEnsemble,
    ) -> Result<NodeId> {
        let &BatchEnsemble { members, mini, ref layers } = ensemble;
        let name = format!("m{place}");
        let mut hidden = self.graph.push(&name, Op::RepeatColumns { x: input, times: members })?;
        if mini {
            let r = self.param(place)?;
            hidden = self.map(&name, x(0) * x(1), &[hidden, r])?;
        }
        self.members = Some(SharedMembers { count: members, mini });
        let layers = layers.layers();
        for (index, layer) in layers.iter().enumerate() {
            let place = format!("{place}.{index}");
            hidden = match layer {
                // The last layer has weights for each member.
                &Layer::Dense { bias, ntk, .. } if index + 1 == layers.len() => {
                    self.own_dense(hidden, &place, (bias, ntk), members)?
                }
                layer => self.layer(layer, hidden, &place)?,
            };
        }
        self.members = None;
        Ok(hidden)
    }

    /// Appends a dense layer whose weight all members share: ((x ⊙ r) Wᵀ) ⊙ s + b, with r, s and b of each member, or with
    /// `mini` x Wᵀ + b.
    pub(super) fn shared_dense(
        &mut self,
        input: NodeId,
        place: &str,
        (bias, ntk): (bool, bool),
        SharedMembers { count: members, mini }: SharedMembers,
    ) -> Result<NodeId> {
        let name = format!("z{place}");
        let inputs = self.columns(input) / members;
        let scale = if ntk { 1.0 / (inputs as f64).sqrt() } else { 1.0 };
        let weight = self.param(place)?;
        if mini {
            let rows = self.graph.push(&name, Op::SplitMembers { x: input, members })?;
            let mut product = self.graph.push(&name, Op::MatmulNt { a: rows, b: weight })?;
            if ntk {
                product = self.graph.over(&name, "scale", x(0) * scale, &[product])?;
            }
            if bias {
                let bias = self.param(place)?;
                product = self.graph.add_bias(&name, product, bias)?;
            }
            return self.graph.push(&name, Op::JoinMembers { x: product, members });
        }
        let (r, s) = (self.param(place)?, self.param(place)?);
        let scaled = self.map(&format!("r{place}"), x(0) * x(1), &[input, r])?;
        // One product for all members: their rows lie below one another.
        let rows = self.graph.push(format!("r{place}"), Op::SplitMembers { x: scaled, members })?;
        let product = self.graph.push(&name, Op::MatmulNt { a: rows, b: weight })?;
        let product = self.graph.push(&name, Op::JoinMembers { x: product, members })?;
        let f = if ntk { x(0) * x(1) * scale } else { x(0) * x(1) };
        let name = format!("s{place}");
        if bias {
            let bias = self.param(place)?;
            return self.map(&name, f + x(2), &[product, s, bias]);
        }
        self.map(&name, f, &[product, s])
    }

    /// Appends a dense layer of which each member has its own.
    fn own_dense(
        &mut self,
        input: NodeId,
        place: &str,
        (bias, ntk): (bool, bool),
        members: usize,
    ) -> Result<NodeId> {
        let name = format!("z{place}");
        let inputs = self.columns(input) / members;
        let weight = self.param(place)?;
        let op = Op::BlockNt { a: input, b: weight, blocks: members };
        let mut product = self.graph.push(&name, op)?;
        if ntk {
            let scale = 1.0 / (inputs as f64).sqrt();
            product = self.map(&name, x(0) * scale, &[product])?;
        }
        if bias {
            let bias = self.param(place)?;
            return self.graph.add_bias(&name, product, bias);
        }
        Ok(product)
    }
}

impl Loss {
    /// Returns the meaning of the outputs of members whose mean is the prediction.
    ///
    /// # Errors
    /// If the mean of the members' predictions is none that a network under the loss could give.
    pub fn member_outputs(&self) -> Result<MemberOutputs> {
        Ok(match self {
            Self::GaussianNll { .. } => {
                return Err(Error::setting(
                    "loss",
                    "gaussian-nll, but the mean of normal distributions, as a batch_ensemble would predict it, is none; use \
                     pinball(0.1, 0.5, 0.9) for its spread, mse for its mean, or several networks with ‘members’",
                ));
            }
            loss if loss.gives_scores() => MemberOutputs::Values,
            Self::Classes(ClassLoss::KlDivergence) => MemberOutputs::Classes,
            Self::PoissonNll { .. } => MemberOutputs::Logarithms,
            loss => match loss.wants() {
                RequiredTarget::Classes => MemberOutputs::Classes,
                RequiredTarget::Labels => MemberOutputs::Labels,
                RequiredTarget::Numbers | RequiredTarget::Counts | RequiredTarget::Shares => {
                    MemberOutputs::Values
                }
            },
        })
    }
}
