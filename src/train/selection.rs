//! Selection of the members of an ensemble, one after the other.
//!
//! In: trained networks for the same columns, rows that none of them was trained on. Out: those whose mean predicts best.
//! Absent on purpose: training.

use super::TrainOptions;
use super::ensemble::combined;
use super::metrics::{Metric, Metrics};
use super::predict::TrainedModel;
use super::predictor::Predictor;
use crate::data::Dataset;
use crate::device::DeviceKind;
use crate::error::Result;

/// A network that was taken into an ensemble.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Selected {
    /// Its place among all networks.
    pub(crate) place: usize,
    /// The metric of the ensemble with it.
    pub(crate) value: f64,
}

/// Selects the networks whose mean has the best value of a metric on some rows: first the best one, then each time the one that
/// betters the mean most, until none does or there are `most`. Each network is taken once at most.
///
/// Caruana, Niculescu-Mizil, Crew, Ksikes 2004, "Ensemble selection from libraries of models", without taking a network again.
///
/// # Errors
/// If a network has other columns than the rows, or the device failed.
pub(crate) fn select_members(
    networks: &[TrainedModel],
    rows: &Dataset,
    (metric, options): (Metric, &TrainOptions),
    (device, most): (&DeviceKind, usize),
) -> Result<Vec<Selected>> {
    let mut outputs = Vec::with_capacity(networks.len());
    for network in networks {
        let predictor = Predictor::on_device(network, device, Some(rows.rows()))?;
        outputs.push(predictor.outputs_for(rows)?);
    }
    let (targets, others) = ((rows.y(), rows.weights()), options.others());
    let value = |outputs: &[f32], first: &TrainedModel| {
        let (criterion, preparation) = (&first.criterion, &first.preparation);
        let metrics = Metrics::under(criterion, outputs, targets, preparation);
        let all = metrics.with(&others, outputs, targets, (preparation, &criterion.loss));
        all.value(metric).filter(|value| value.is_finite())
    };
    let mut taken: Vec<Selected> = Vec::new();
    while taken.len() < most {
        let of_mean = |place: usize| {
            let places: Vec<usize> = taken.iter().map(|it| it.place).chain([place]).collect();
            let first = &networks[places[0]];
            if places.len() == 1 {
                return value(&outputs[place], first);
            }
            let members: Vec<&TrainedModel> = places.iter().map(|&it| &networks[it]).collect();
            let each: Vec<Vec<f32>> = places.iter().map(|&it| outputs[it].clone()).collect();
            value(&combined(first, &members, &each), first)
        };
        let free = (0..networks.len()).filter(|place| taken.iter().all(|it| it.place != *place));
        let tried = free.filter_map(|place| Some(Selected { place, value: of_mean(place)? }));
        let sign = if metric.higher_is_better() { -1.0 } else { 1.0 };
        // Of equal ones the first, which is the better one by itself where networks stand in their order.
        let best = tried.min_by(|a, b| (sign * a.value).total_cmp(&(sign * b.value)));
        let Some(best) = best else { break };
        if taken.last().is_some_and(|last| sign * best.value >= sign * last.value) {
            break;
        }
        taken.push(best);
    }
    Ok(taken)
}
