//! What comes before a network and after it: raw columns in, what they mean out.

use super::builder::Builder;
use super::proto::{Attribute, Kind, ValueInfo};
use crate::data::{Preparation, TargetKind};
use crate::train::TrainedModel;

/// The name of the input.
pub(super) const INPUT: &str = "x";

fn cast(to: &mut Builder, x: &str, kind: Kind) -> String {
    to.node("Cast", &[x], vec![Attribute::int("to", kind.number().into())])
}

/// Appends the scaling of raw columns, in f64 as everywhere. Out: the name of what the network gets.
pub(super) fn prepare(to: &mut Builder, preparation: &Preparation) -> String {
    let (mean, std) = (&preparation.mean, &preparation.std);
    if mean.iter().all(|&it| it == 0.0) && std.iter().all(|&it| it == 1.0) {
        return INPUT.into();
    }
    to.at("prepare");
    let wide = cast(to, INPUT, Kind::Double);
    let (mean, std) = (to.doubles("mean", mean), to.doubles("std", std));
    let moved = to.node("Sub", &[&wide, &mean], vec![]);
    let scaled = to.node("Div", &[&moved, &std], vec![]);
    cast(to, &scaled, Kind::Float)
}

/// Appends what the network's outputs mean. Out: the results of the whole.
pub(super) fn tell(to: &mut Builder, trained: &TrainedModel, outputs: &str) -> Vec<ValueInfo> {
    to.at("tell");
    let target = &trained.preparation.schema.target;
    match &trained.preparation.schema.kind {
        TargetKind::Classes(classes) => {
            let axis = || Attribute::int("axis", 1);
            let best = to.node("ArgMax", &[outputs], vec![axis(), Attribute::int("keepdims", 0)]);
            let names = to.texts("classes", classes);
            to.push("Gather", &[&names, &best], vec![], "label".into());
            to.push("Softmax", &[outputs], vec![axis()], "probabilities".into());
            let about = format!("the probability of each class of {target}, in their order");
            vec![
                ValueInfo::rows("label", Kind::Text, None, format!("the likeliest {target}")),
                ValueInfo::rows("probabilities", Kind::Float, Some(classes.len()), about),
            ]
        }
        TargetKind::Number => {
            let wide = cast(to, outputs, Kind::Double);
            let (std, mean) = (
                to.doubles("target_std", &[trained.preparation.target_std]),
                to.doubles("target_mean", &[trained.preparation.target_mean]),
            );
            let scaled = to.node("Mul", &[&wide, &std], vec![]);
            to.push("Add", &[&scaled, &mean], vec![], "prediction".into());
            let about = format!("{target} in its own units");
            vec![ValueInfo::rows("prediction", Kind::Double, Some(1), about)]
        }
    }
}
