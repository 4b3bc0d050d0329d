//! Layers, losses and settings that do not go together, reported as warnings before training begins.
//!
//! In: what a run is made of. Out: a text each, which says what to do; `docs/mistakes.md` lists them.
//! Absent on purpose: settings that are refused, which `options.rs`, `memory/memory_planner.rs` and `criterion.rs` check.

use super::{ScheduleKind, TrainOptions};
use crate::data::Batches;
use crate::error::Result;
use crate::graph::{Average, ClassLoss, Loss, RequiredTarget, factors};
use crate::model::{Activation, Layer, LayerShape, Sequential};
use crate::shape::{count, pluralize};

/// Share of the first weights in an average at a run's end, from which on the average is too slow for the run.
const MOST_LEFT: f64 = 0.1;
/// Rows of a batch below which its statistics are too rough to stand for several batches.
const FEW_ROWS: usize = 16;

/// Returns the plain mistakes in a run's layers and settings.
///
/// # Errors
/// If the layers' sizes are impossible.
pub(super) fn mistakes(
    model: &Sequential,
    inputs: usize,
    options: &TrainOptions,
    batches: &Batches,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    in_stack(model, inputs, "", &mut found)?;
    if let Some(last) = model.layers().last() {
        found.extend(at_the_end(last, &options.loss));
    }
    in_moves(model, options, batches, &mut found);
    found.extend(all_frozen(model, inputs, options)?);
    for (option, kind) in options.kinds() {
        found.extend(in_schedule(option, kind, options));
    }
    if has(model, &|layer| matches!(layer, Layer::BatchNorm { .. }))
        && options.accumulate > 1
        && batches.batch() < FEW_ROWS
    {
        found.push(format!(
            "‘accumulate’ {} adds up gradients, but the batch norm takes the statistics of each batch of {} by itself; use \
             a larger ‘batch_size’, or a layer norm",
            options.accumulate,
            pluralize(batches.batch() as u64, "row")
        ));
    }
    if options.loss == Loss::Classes(ClassLoss::CrossEntropy { label_smoothing: 1.0 }) {
        found.push(
            "a label smoothing of 1 makes all classes alike, so there is nothing to learn; use 0.1, say"
                .to_string(),
        );
    }
    Ok(found)
}

/// True if a layer is there, inside of others too.
fn has(model: &Sequential, wanted: &dyn Fn(&Layer) -> bool) -> bool {
    model.layers().iter().any(|layer| {
        wanted(layer)
            || match layer {
                Layer::Residual(inner) => has(inner, wanted),
                Layer::BatchEnsemble(ensemble) => has(&ensemble.layers, wanted),
                Layer::Branches(all) => all.iter().any(|branch| has(branch, wanted)),
                _ => false,
            }
    })
}

/// Finds mistakes in the order of a stack of layers, and of the stacks inside.
fn in_stack(model: &Sequential, inputs: usize, place: &str, found: &mut Vec<String>) -> Result<()> {
    let shapes = model.shapes(inputs)?;
    let named = |index: usize| format!("layer {place}{index} ({})", shapes[index].layer);
    // The last dense layer that only linear layers have followed so far.
    let mut linear: Option<usize> = None;
    for (index, LayerShape { layer, inputs, outputs }) in shapes.iter().enumerate() {
        match layer {
            Layer::Residual(inner) => {
                in_stack(inner, *inputs, &format!("{place}{index}."), found)?;
            }
            Layer::BatchEnsemble(ensemble) => {
                in_stack(&ensemble.layers, *inputs, &format!("{place}{index}."), found)?;
            }
            Layer::Branches(all) => {
                for (branch, inner) in all.iter().enumerate() {
                    in_stack(inner, *inputs, &format!("{place}{index}.{branch}."), found)?;
                }
            }
            Layer::Softmax | Layer::LogSoftmax | Layer::LayerNorm { .. } if *outputs == 1 => {
                found.push(format!(
                    "{} gets one column, of which it makes the same number for all rows; leave it out",
                    named(index)
                ));
            }
            _ => {}
        }
        // The layer before decides what a layer can do.
        if let Some(before) = index.checked_sub(1)
            && let Some(problem) = wrong_pair(&shapes[before].layer, layer)
        {
            found.push(format!("{} follows {}: {problem}", named(index), named(before)));
        }
        // Linear layers keep the earlier dense layer in view; anything else ends the sequence.
        linear = match (layer, linear) {
            (Layer::Dense { .. }, Some(before)) => {
                // A narrow layer between two others makes a matrix of low rank, which may be intended.
                let (columns, middle) = (shapes[before].inputs, shapes[before].outputs);
                if middle >= columns.min(*outputs) {
                    found.push(format!(
                        "no activation stands between {} and {}, so together they can do no more than one dense layer; put one \
                         between them, such as relu",
                        named(before),
                        named(index)
                    ));
                }
                Some(index)
            }
            (Layer::Dense { .. }, None) => Some(index),
            (
                Layer::Dropout { .. }
                | Layer::BatchNorm { .. }
                | Layer::Scale { .. }
                | Layer::Activation(Activation::Identity),
                before,
            ) => before,
            _ => None,
        };
    }
    Ok(())
}

/// Returns the problem of a layer that stands right behind another one.
fn wrong_pair(before: &Layer, layer: &Layer) -> Option<&'static str> {
    match (before, layer) {
        (Layer::Activation(Activation::Identity), _)
        | (_, Layer::Activation(Activation::Identity)) => None,
        (
            Layer::Activation(_) | Layer::Parametric(_),
            Layer::Activation(_) | Layer::Parametric(_),
        ) => Some("two activations in a row; put a dense layer between them, or leave one out"),
        (Layer::Dropout { .. }, Layer::BatchNorm { .. }) => Some(
            "dropout changes the variance in training alone, so the running variance will be wrong; put the dropout after the norm",
        ),
        _ => None,
    }
}

/// Returns the problem of a last layer that keeps the outputs from being those that the loss takes.
fn at_the_end(last: &Layer, loss: &Loss) -> Option<String> {
    let own = match (loss, loss.wants()) {
        (loss, _) if loss.gives_scores() => "it compares outputs of any size",
        (_, RequiredTarget::Classes | RequiredTarget::Shares) => "it has a softmax of its own",
        (_, RequiredTarget::Labels) => "it has a sigmoid of its own",
        (_, RequiredTarget::Counts) => "it has an exponential of its own",
        (_, RequiredTarget::Numbers) => "",
    };
    // Activations that reach all numbers do not confine the outputs.
    let confines = match last {
        Layer::Softmax | Layer::LogSoftmax => true,
        Layer::Activation(act) => *act != Activation::Identity && !reaches_all(*act),
        _ => false,
    };
    match last {
        _ if confines && !own.is_empty() => Some(format!(
            "the last layer is {last}, but the loss {} takes the network's outputs as they are ({own}); leave the layer out",
            loss.name()
        )),
        Layer::Dropout { .. } => Some(format!(
            "the last layer is {last}, so outputs themselves become 0 at random while training; put it before the last dense layer"
        )),
        Layer::BatchNorm { .. } | Layer::LayerNorm { .. } | Layer::RmsNorm { .. } => Some(format!(
            "the last layer is {last}, which takes the size of the outputs away; put a dense layer after it"
        )),
        _ => None,
    }
}

/// True if an activation returns large numbers of both signs.
fn reaches_all(act: Activation) -> bool {
    let value = |x: f64| act.value_program().value(&[x]);
    value(-1e3) < -5.0 && value(1e3) > 5.0
}

/// Finds mistakes in the settings of updates.
fn in_moves(
    model: &Sequential,
    options: &TrainOptions,
    batches: &Batches,
    found: &mut Vec<String>,
) {
    let (epochs, steps) = (options.epochs, batches.steps());
    if options.accumulate as usize > steps {
        found.push(format!(
            "‘accumulate’ {0} is more than the {1} steps of an epoch: the weights move once an epoch; use at most {1}",
            options.accumulate,
            count(steps as u64)
        ));
    }
    match options.average {
        Some(Average::Swa { start, .. }) if start >= epochs => found.push(format!(
            "‘average’ swa begins after {start} epochs, but the run has {epochs}, so nothing is averaged; use a smaller start"
        )),
        Some(Average::Ema { decay, warmup }) => {
            let moves = u64::from(epochs) * options.updates_per_epoch(steps) as u64;
            let mut left = 1.0;
            for t in 1..moves {
                let t = t as f64;
                left *= if warmup > 0.0 { decay.min((1.0 + t) / (warmup + t)) } else { decay };
                if left < MOST_LEFT {
                    break;
                }
            }
            if moves > 1 && left >= MOST_LEFT {
                found.push(format!(
                    "‘average’ ema with a decay of {decay} forgets too slowly for the run's {moves} moves: {:.0} % of the average \
                     will be the first move's weights; use a smaller decay, or a warmup of 10",
                    100.0 * left
                ));
            }
        }
        _ => {}
    }
    if options.optimizer.name() == "schedule-free" && options.schedule != ScheduleKind::Constant {
        found.push(format!(
            "schedule-free needs no ‘schedule’, since its averages take the place of one; leave {} out",
            options.schedule.name()
        ));
    }
    without_effect(model, options, found);
}

/// Finds settings that change nothing, since what they are about is not there.
fn without_effect(model: &Sequential, options: &TrainOptions, found: &mut Vec<String>) {
    let decays = options.optimizer.setting("weight-decay").unwrap_or(0.0) != 0.0;
    if options.decay_schedule != ScheduleKind::Constant && !decays {
        found.push(format!(
            "‘decay_schedule’ {} changes nothing, since there is no weight decay; give ‘weight_decay’, or leave it out",
            options.decay_schedule.name()
        ));
    }
    // Groups that say nothing else, and are not for whatever network there is.
    let of_decay = options
        .groups
        .iter()
        .any(|group| group.decay != 1.0 && group.lr == 1.0 && !group.matches.ends_with('?'));
    if of_decay && !decays {
        found.push(
            "‘no_decay’, or decay in ‘groups’, changes nothing, since there is no weight decay; give ‘weight_decay’, or leave it out"
                .to_string(),
        );
    }
    if options.schedule_epochs.is_some()
        && options.warmup <= f64::from(options.epochs)
        && options.kinds().into_iter().all(|(_, kind)| *kind == ScheduleKind::Constant)
    {
        found.push(
            "‘schedule_epochs’ changes nothing, since no schedule is other than constant; give ‘schedule’, or leave it out".to_string(),
        );
    }
    if options.smoothing_schedule != ScheduleKind::Constant && options.loss.label_smoothing() == 0.0
    {
        found.push(format!(
            "‘smoothing_schedule’ {} changes nothing, since the loss has no label smoothing; give ‘loss’ such as \
             cross-entropy(label-smoothing=0.1), or leave it out",
            options.smoothing_schedule.name()
        ));
    }
    let is_dropout = |layer: &Layer| matches!(layer, Layer::Dropout { .. });
    if options.dropout_schedule != ScheduleKind::Constant && model.largest_dropout() == 0.0 {
        let why = match has(model, &is_dropout) {
            true => "every dropout layer has a rate of 0",
            false => "no layer is a dropout",
        };
        found.push(format!(
            "‘dropout_schedule’ {} changes nothing, since {why}; give ‘dropout’, or leave it out",
            options.dropout_schedule.name()
        ));
    }
}

/// Returns a remark if no parameter trains.
fn all_frozen(model: &Sequential, inputs: usize, options: &TrainOptions) -> Result<Option<String>> {
    let factors = factors(&options.groups, &model.layout(inputs)?)?;
    let frozen = !options.groups.is_empty() && factors.iter().all(|it| it.lr == 0.0);
    Ok(frozen.then(|| {
        "all parameters are frozen, so that no weight changes; leave some of them out of ‘freeze’ and ‘groups’".to_string()
    }))
}

/// A schedule of which the run is over before anything changes.
fn in_schedule(option: &str, kind: &ScheduleKind, options: &TrainOptions) -> Option<String> {
    let epochs = f64::from(options.epochs);
    let after = if option == "schedule" { epochs - options.warmup } else { epochs };
    let what = match kind {
        ScheduleKind::Step { every, .. } if *every >= after => {
            format!("falls every {every} epochs")
        }
        ScheduleKind::MultiStep { milestones, .. }
            if milestones.iter().all(|milestone| *milestone >= after) =>
        {
            format!("falls after {} epochs at first", milestones.first().copied().unwrap_or(0.0))
        }
        ScheduleKind::Plateau(plateau) if f64::from(plateau.patience) >= epochs => {
            format!("waits for {} epochs without progress", plateau.patience)
        }
        _ => return None,
    };
    Some(format!(
        "‘{option}’ {} {what}, but the run has {} epochs, so it never falls; use smaller numbers, or more ‘epochs’",
        kind.name(),
        options.epochs
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Group, Optimizer};
    use crate::model::LayerParser;

    /// All that is said of layers and options, for 100 rows of 4 columns in batches of 10.
    fn said(text: &str, options: &TrainOptions) -> Vec<String> {
        let model =
            LayerParser { outputs: Some(3), ..LayerParser::default() }.layers(text).unwrap();
        mistakes(&model, 4, options, &Batches::new(100, 10, false)).unwrap()
    }

    fn under(loss: &str) -> TrainOptions {
        TrainOptions { loss: loss.parse().unwrap(), ..TrainOptions::default() }
    }

    #[test]
    fn a_run_that_trains_no_parameter_is_told() {
        let with = |patterns: &[&str]| {
            let groups = patterns.iter().map(|pattern| Group::frozen(pattern)).collect();
            said("dense(8), relu, dense", &TrainOptions { groups, ..TrainOptions::default() })
        };
        let told =
            |said: Vec<String>| said.iter().any(|it| it.contains("all parameters are frozen"));
        assert!(told(with(&["*"])) && told(with(&["0.*", "2.*"])));
        assert!(!told(with(&["0.*"])) && !told(with(&[])));
    }

    #[test]
    fn layers_that_do_not_go_together_are_named() {
        for (text, want) in [
            (
                "dense(8), relu, tanh, dense",
                "layer 2 (tanh) follows layer 1 (relu): two activations",
            ),
            (
                "dense(8), dense",
                "no activation stands between layer 0 (dense(8)) and layer 1 (dense(3))",
            ),
            ("dense(8), dropout(0.1), dense", "no activation stands between layer 0"),
            (
                "dense(8), relu, dropout(0.1), batch_norm, dense",
                "layer 3 (batch_norm) follows layer 2",
            ),
            (
                "dense(8), relu, dense, layer_norm",
                "the last layer is layer_norm, which takes the size",
            ),
            ("dense(8), relu, dense, dropout(0.2)", "outputs themselves become 0 at random"),
            ("dense(1), softmax, dense", "layer 1 (softmax) gets one column"),
            (
                "dense(8), relu, residual(dense(8), relu, tanh), dense",
                "layer 2.2 (tanh) follows layer 2.1",
            ),
        ] {
            let said = said(text, &under("mse"));
            assert!(matches!(&said[..], [one] if one.contains(want)), "{text}: {said:?}");
        }
        for text in [
            "dense(8), batch_norm, relu, dropout(0.1), dense(8), batch_norm, relu, dropout(0.1), dense",
            "dense(2), dense",
            "dense(8), tanh, dense, sigmoid",
            "dropout(0.1), dense(8), identity, relu, dense",
            "dense",
            "dense(8), layer_norm, dense",
        ] {
            assert_eq!(said(text, &under("mse")), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_a_loss_does_itself_is_no_layer() {
        let text = |last: &str| format!("dense(8), relu, dense, {last}");
        for loss in [
            "cross-entropy",
            "focal",
            "hinge",
            "kl-divergence",
            "binary-cross-entropy",
            "poisson-nll",
        ] {
            for last in [
                "softmax",
                "log_softmax",
                "sigmoid",
                "tanh",
                "relu",
                "softplus",
                "elu",
                "log_sigmoid",
            ] {
                let said = said(&text(last), &under(loss));
                let want = format!("the last layer is {last}, but the loss {loss} takes");
                assert!(
                    matches!(&said[..], [one] if one.contains(&want)),
                    "{loss} {last}: {said:?}"
                );
            }
            for last in ["identity", "leaky_relu", "prelu"] {
                assert_eq!(said(&text(last), &under(loss)), [""; 0], "{loss} {last}");
            }
        }
    }

    #[test]
    fn settings_that_change_nothing_are_named() {
        let base = || TrainOptions { epochs: 20, ..TrainOptions::default() };
        let average = |text: &str| TrainOptions { average: Some(text.parse().unwrap()), ..base() };
        let schedule = |text: &str| TrainOptions { schedule: text.parse().unwrap(), ..base() };
        let optimizer =
            |name: &str| TrainOptions { optimizer: Optimizer::by_name(name).unwrap(), ..base() };
        let net = "dense(8), batch_norm, relu, dense";
        let wrong = [
            (TrainOptions { accumulate: 11, ..base() }, "more than the 10 steps of an epoch"),
            (TrainOptions { accumulate: 2, ..base() }, "the statistics of each batch of 10 rows"),
            (average("swa(start=20)"), "begins after 20 epochs"),
            (average("ema(decay=0.9999, warmup=0)"), "98 % of the average"),
            (schedule("step(every=20)"), "falls every 20 epochs"),
            (schedule("multi-step(milestones=[30, 80])"), "falls after 30 epochs at first"),
            (schedule("plateau(patience=20)"), "waits for 20 epochs"),
            (
                TrainOptions { schedule: ScheduleKind::COSINE, ..optimizer("schedule-free") },
                "schedule-free needs no ‘schedule’",
            ),
            (
                TrainOptions { decay_schedule: ScheduleKind::COSINE, ..optimizer("sgd") },
                "there is no weight decay",
            ),
            (
                TrainOptions { dropout_schedule: ScheduleKind::COSINE, ..base() },
                "no layer is a dropout",
            ),
            (
                TrainOptions { smoothing_schedule: ScheduleKind::COSINE, ..base() },
                "the loss has no label smoothing",
            ),
            (under("cross-entropy(label-smoothing=1)"), "a label smoothing of 1"),
        ];
        for (options, want) in wrong {
            let said = said(net, &options);
            assert!(said.iter().any(|text| text.contains(want)), "{want}: {said:?}");
        }
        for options in [
            base(),
            average("swa(start=19)"),
            average("ema(decay=0.99)"),
            average("ema(decay=0.9999)"),
            schedule("step(every=5)"),
            schedule("multi-step(milestones=[10, 30])"),
            schedule("plateau"),
            optimizer("schedule-free"),
        ] {
            assert_eq!(said(net, &options), [""; 0], "{options:?}");
        }
    }
}
