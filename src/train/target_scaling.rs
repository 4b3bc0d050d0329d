//! Decides how a numeric target is scaled for the network's last layer and the loss.
//!
//! In: model, options, training rows, the usual scaling. Out: the scaling that the run takes, and the loss in its units.
//! Absent on purpose: features, and how numbers are scaled, which `data` knows.

use super::{TrainOptions, Warning};
use crate::data::{Dataset, FeatureScaling, Preprocessing, TargetKind, list};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::graph::Loss;
use crate::model::{Layer, Sequential};
use crate::shape::brief;

/// A difference of targets is far from the target's own deviation beyond this factor either way.
const FAR: f64 = 100.0;

/// Scaling of a run's target, and what follows from it.
#[derive(Debug)]
pub(super) struct TargetScaling {
    pub(super) preparation: Preprocessing,
    /// The loss with its parameters in units of the scaled target.
    pub(super) loss: Loss,
    /// Says how the target is treated, if not as usual.
    pub(super) note: Option<String>,
    pub(super) warnings: Vec<Warning>,
}

/// Values that the network's last layer can give.
struct Reach {
    layer: String,
    low: f64,
    high: f64,
    /// Returns true if f(c x) = c f(x) for every c above 0.
    homogeneous: bool,
}

/// Scales the target such that parameters of the loss and the values of a last activation mean the target's own units.
///
/// * A last activation that passes numbers of any sign, or none: mean 0 and deviation 1, as usual.
/// * One that scales with its input, such as relu, or gives any number above 0, such as softplus: the target is divided by
///   √ mean y², and its sign stays.
/// * Any other, such as sigmoid or tanh: the target stays as it is.
///
/// With `given`, the preparation is that of earlier weights and stays; only the loss is converted.
///
/// # Errors
/// If the last layer cannot reach the targets.
pub(super) fn target_scaling(
    model: &Sequential,
    options: &TrainOptions,
    train: &Dataset,
    (mut preparation, given): (Preprocessing, bool),
) -> Result<TargetScaling> {
    let (loss, mut note) = (&options.loss, None);
    let scales = options.scaling().target_method() != FeatureScaling::None;
    let numbers = matches!(train.schema().kind, TargetKind::Number | TargetKind::Numbers(_));
    if !numbers || !loss.scales_target() {
        check_unscaled(options, numbers)?;
        if numbers {
            preparation = preparation.with_target_as_is();
            let stays =
                || format!("the target stays as it is: {} takes no scaled one", loss.name());
            note = scales.then(stays);
        }
        return Ok(TargetScaling { preparation, loss: loss.clone(), note, warnings: Vec::new() });
    }
    if let Some(method) = preparation.curves.target {
        return curved(model, loss, train, (preparation, method));
    }
    let reach = reach(model);
    if let Some(reach) = reach.as_ref().filter(|reach| scales && !given && !reach.is_everything()) {
        let told;
        (preparation, told) = within_reach(reach, preparation, train);
        note = Some(told);
    }
    // A function of prediction and target themselves knows no shift.
    let shifts = preparation.target_mean.iter().any(|mean| *mean != 0.0);
    if shifts && matches!(loss, Loss::Custom(custom) if !custom.is_of_difference()) {
        if given {
            let problem = format!(
                "{loss} depends on more than p - y, but the model that the run begins with shifts the target; give ‘scale’ standard \
                 to scale it anew"
            );
            return Err(Error::setting("loss", problem));
        }
        preparation = preparation.with_target_divided(train);
        note = Some(format!(
            "the target is divided by its size and not shifted, since {loss} depends on more than p - y"
        ));
    }
    let units = match loss {
        Loss::Custom(_) => loss.to_string(),
        _ => format!("a parameter of {}", loss.name()),
    };
    let differ = preparation.target_std.windows(2).any(|pair| pair[0] != pair[1]);
    let unequal = differ && !matches!(loss, Loss::GaussianNll { .. });
    if loss.has_target_units() && unequal && !given {
        preparation = preparation.with_one_target_std();
        note = Some(format!(
            "all target columns are divided by one number, {:.4}, since {units} counts in their own units",
            preparation.target_std[0]
        ));
    } else if loss.has_target_units() && unequal {
        let problem = format!(
            "{units} counts in the target's own units, but the columns of the target are scaled differently by the model \
             that the run begins with; give ‘scale’ standard to scale them anew"
        );
        return Err(Error::setting("loss", problem));
    }
    if let Some(reach) = &reach {
        check_reach(reach, train, (&preparation, given))?;
    }
    // The widest column's: of a least variance the others then have less, in proportion to theirs.
    let unit = preparation.target_std.iter().copied().fold(f64::NAN, f64::max);
    let warnings = far_from_deviation(loss, train).into_iter().collect();
    Ok(TargetScaling { preparation, loss: loss.in_units_of(unit), note, warnings })
}

/// Returns a scaling of the target that the last layer can give, and what it is.
fn within_reach(
    reach: &Reach,
    preparation: Preprocessing,
    train: &Dataset,
) -> (Preprocessing, String) {
    let layer = &reach.layer;
    if reach.homogeneous || reach.is_positive() {
        let note = format!(
            "the target is divided by its size and not shifted, for the sake of the last layer, {layer}"
        );
        return (preparation.with_target_divided(train), note);
    }
    let note =
        format!("the target stays as it is: the last layer, {layer}, gives it in its own units");
    (preparation.with_target_as_is(), note)
}

/// Refuses a scaling that was asked for where the target takes none.
fn check_unscaled(options: &TrainOptions, numbers: bool) -> Result<()> {
    let asked = options.target_scale.filter(|method| *method != FeatureScaling::None);
    let Some(method) = asked else { return Ok(()) };
    let problem = match numbers {
        true => {
            format!("{method}, but {} takes the target as it is; leave it out", options.loss.name())
        }
        false => format!("{method}, but the target is no number; leave it out"),
    };
    Err(Error::setting("target_scale", problem))
}

/// Takes a target that is scaled by its logarithm or its ranks, under which equal differences do not stay equal.
fn curved(
    model: &Sequential,
    loss: &Loss,
    train: &Dataset,
    (preparation, method): (Preprocessing, FeatureScaling),
) -> Result<TargetScaling> {
    // A parameter in the target's units would mean another size at each value.
    if loss.has_target_units() || matches!(loss, Loss::Custom(_)) {
        let problem = format!(
            "{} counts in the target's own units, which a target scaled by {method} does not keep; use mse, mae, log-cosh or \
             pinball, or ‘target_scale’ standard",
            loss.name()
        );
        return Err(Error::setting("loss", problem));
    }
    let bounded = |reach: &Reach| reach.low.is_finite() || reach.high.is_finite();
    if let Some(reach) = reach(model).filter(bounded) {
        let problem = format!(
            "the last layer, {}, does not give every number, but a target scaled by {method} may be any; leave that layer out, or \
             give ‘target_scale’ none",
            reach.layer
        );
        return Err(Error::setting("layers", problem));
    }
    let note = match method {
        FeatureScaling::Quantile => Some(format!(
            "the target is scaled by its ranks, so that predictions stay within what training saw, {}",
            train.target_summary()
        )),
        _ if *loss == Loss::Mse => Some(
            "the target is scaled by its logarithm: a squared error there gives the mean of the logarithms, which in the target's \
             units is nearer to its median than to its mean"
                .to_string(),
        ),
        _ => Some("the target is scaled by its logarithm".to_string()),
    };
    Ok(TargetScaling { preparation, loss: loss.clone(), note, warnings: Vec::new() })
}

impl Reach {
    fn is_everything(&self) -> bool {
        self.low == f64::NEG_INFINITY && self.high == f64::INFINITY && !self.homogeneous
    }

    fn is_positive(&self) -> bool {
        self.low == 0.0 && self.high == f64::INFINITY
    }
}

/// Finds out what the last layer gives; `None` for layers that give any number.
fn reach(model: &Sequential) -> Option<Reach> {
    let last = model.layers().iter().rev().find(|layer| !matches!(layer, Layer::Dropout { .. }))?;
    let of = |expr: &Expr| -> Option<Reach> {
        let ValueRange { low, high, homogeneous } = measured(expr)?;
        Some(Reach { layer: last.to_string(), low, high, homogeneous })
    };
    let known =
        |low, high, homogeneous| Some(Reach { layer: last.to_string(), low, high, homogeneous });
    match last {
        Layer::Activation(activation) => of(&activation.expr()),
        Layer::Custom(custom) if custom.start().is_empty() => of(custom.expr()),
        Layer::Prelu { .. } => known(f64::NEG_INFINITY, f64::INFINITY, true),
        Layer::Softmax => known(0.0, 1.0, false),
        Layer::LogSoftmax => known(f64::NEG_INFINITY, 0.0, false),
        _ => None,
    }
}

/// Values that an expression of x takes.
struct ValueRange {
    low: f64,
    high: f64,
    /// True if it is multiplied by a number as x is.
    homogeneous: bool,
}

/// Measures the values of an expression of x at many points; `None` for x itself.
fn measured(expr: &Expr) -> Option<ValueRange> {
    const LARGE: f64 = 1e6;
    let program = expr.program();
    let f = |x: f64| program.value(&[x]);
    // Dense where activations bend, and out to where they are flat or go on for ever.
    let near = (-4000..=4000).map(|i| f64::from(i) / 200.0);
    let far = (0..=60).flat_map(|i| {
        let x = 10_f64.powf(f64::from(i) / 10.0);
        [-x, x]
    });
    let point_predictions: Vec<f64> = near.chain(far).collect();
    if point_predictions.iter().all(|&x| f(x) == x) {
        return None;
    }
    let values = point_predictions.iter().map(|&x| f(x)).filter(|value| !value.is_nan());
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    // A function that still grows at the ends has no bound.
    let grows = |value: f64, sign: f64| {
        let ends = [-LARGE, LARGE].map(|x| (sign * f(x), sign * f(x / 10.0)));
        !value.is_finite() || ends.iter().any(|(end, before)| end > before && end.abs() > 3.0)
    };
    let high = if grows(high, 1.0) { f64::INFINITY } else { high };
    let low = if grows(low, -1.0) { f64::NEG_INFINITY } else { low };
    // As many digits as the points are dense.
    let tidy = |value: f64| if value.is_finite() { (value * 1e5).round() / 1e5 } else { value };
    let same = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-9);
    let homogeneous =
        point_predictions.iter().filter(|x| x.abs() <= 20.0).all(|&x| same(f(3.0 * x), 3.0 * f(x)));
    Some(ValueRange { low: tidy(low), high: tidy(high), homogeneous })
}

/// Refuses targets that the last layer cannot give.
fn check_reach(
    reach: &Reach,
    train: &Dataset,
    (preparation, given): (&Preprocessing, bool),
) -> Result<()> {
    let Some((y, columns)) = train.y().columns() else { return Ok(()) };
    for column in 0..columns {
        let (mean, std) = (preparation.target_mean[column], preparation.target_std[column]);
        let (low, high) = (reach.low * std + mean, reach.high * std + mean);
        let values = y[column..].iter().step_by(columns);
        let (least, most) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &y| (a.min(y), b.max(y)));
        // A bound itself can be come near to, as sigmoid does to 0 and 1; and it was measured at points.
        let slack = 2e-5 * std;
        if least >= low - slack && most <= high + slack {
            continue;
        }
        let range = match (low.is_finite(), high.is_finite()) {
            (true, true) => format!("from {low} to {high}"),
            (true, false) => format!("of {low} or more"),
            _ => format!("of {high} or less"),
        };
        let name = list(&[train.schema().targets()[column]]);
        let problem = format!(
            "the last layer, {}, gives numbers {range}, but {name} goes from {least} to {most}; leave that layer out, or bring \
             the target into its range{}",
            reach.layer,
            if given { ", or scale it anew with ‘scale’ standard" } else { "" }
        );
        return Err(Error::setting("layers", problem));
    }
    Ok(())
}

/// Warns of a loss whose parameter is far from what the target differs by.
fn far_from_deviation(loss: &Loss, train: &Dataset) -> Option<Warning> {
    // Others need no further pass over the table.
    if !loss.has_target_units() {
        return None;
    }
    let usual = Preprocessing::fit(train, FeatureScaling::Standard);
    let deviations = usual.target_std.iter();
    let deviation = deviations.map(|std| std * std).sum::<f64>() / usual.target_std.len() as f64;
    let deviation = deviation.sqrt();
    let (name, value, becomes) = match *loss {
        Loss::Huber { delta } => ("delta", delta, ["mae", "mse"]),
        Loss::SmoothL1 { beta } => ("beta", beta, ["mae", "mse"]),
        Loss::GaussianNll { eps, .. } if eps > deviation * deviation / FAR => {
            let problem = format!(
                "eps {eps} of gaussian-nll is the least variance in the target's own units, but the target's variance is {:.4e}: \
                 predicted deviations will be too large; give a smaller eps",
                deviation * deviation
            );
            return Some(Warning::Target { problem });
        }
        _ => return None,
    };
    let like = match value / deviation {
        ratio if ratio < 1.0 / FAR => becomes[0],
        ratio if ratio > FAR => becomes[1],
        _ => return None,
    };
    let problem = format!(
        "{name} {value} of {} counts in the target's own units, and the target's deviation is {}: so the loss is nearly \
         {like}; give a {name} between the usual error and that of outliers",
        loss.name(),
        brief(deviation)
    );
    Some(Warning::Target { problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;
    use crate::model::Activation;

    fn data(y: Vec<f64>) -> Dataset {
        let x: Vec<f64> = (0..y.len()).map(|i| i as f64).collect();
        Dataset::from_arrays(&x, 1, Targets::Numbers(y)).unwrap()
    }

    fn scaled(last: Layer, y: Vec<f64>, loss: Loss) -> Result<TargetScaling> {
        let options = TrainOptions { loss, ..TrainOptions::default() };
        let train = data(y);
        let usual = Preprocessing::fit(&train, FeatureScaling::Standard);
        target_scaling(&Sequential::new().dense(1).layer(last), &options, &train, (usual, false))
    }

    #[test]
    fn activations_reach_what_they_reach() {
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        let up = |low| (low, f64::INFINITY);
        for (text, want, homogeneous) in [
            ("relu", up(0.0), true),
            ("leaky_relu", all, true),
            ("softplus", up(0.0), false),
            ("sigmoid", (0.0, 1.0), false),
            ("tanh", (-1.0, 1.0), false),
            ("elu", up(-1.0), false),
            ("softsign", (-1.0, 1.0), false),
        ] {
            let activation: Activation = text.parse().unwrap();
            let ValueRange { low, high, homogeneous: is } = measured(&activation.expr()).unwrap();
            let close = |a: f64, b: f64| a == b || (a - b).abs() < 1e-5;
            assert!(close(low, want.0) && close(high, want.1), "{text}: {low} {high}");
            assert_eq!(is, homogeneous, "{text}");
        }
        assert!(measured(&Expr::input(0)).is_none());
        // e^x has no upper bound, and a square none either.
        for (text, low) in [("exp(x)", 0.0), ("x ^ 2", 0.0), ("exp(x) - 3", -3.0)] {
            let ValueRange { low: least, high: most, .. } =
                measured(&crate::model::expression(text).unwrap()).unwrap();
            assert!((least - low).abs() < 1e-5 && most == f64::INFINITY, "{text} {least} {most}");
        }
    }

    #[test]
    fn last_layers_decide_how_the_target_is_scaled() {
        let of = |name: &str| Layer::Activation(name.parse().unwrap());
        let prices = || vec![100.0, 200.0, 300.0];
        let scaling = |made: &TargetScaling| {
            (made.preparation.target_mean[0], made.preparation.target_std[0])
        };
        let usual = scaled(Layer::dense(1), prices(), Loss::Mse).unwrap();
        assert_eq!((scaling(&usual).0, usual.note), (200.0, None));
        for positive in ["relu", "softplus"] {
            let made = scaled(of(positive), prices(), Loss::Mse).unwrap();
            let size = (140_000.0_f64 / 3.0).sqrt();
            assert_eq!(scaling(&made).0, 0.0);
            assert!((scaling(&made).1 - size).abs() < 1e-9, "{positive}");
            assert!(made.note.unwrap().contains("not shifted"));
        }
        let share = scaled(of("sigmoid"), vec![0.0, 0.4, 1.0], Loss::Mse).unwrap();
        assert_eq!(scaling(&share), (0.0, 1.0));
        assert!(share.note.unwrap().contains("the last layer, sigmoid, gives it in its own units"));
        let said = |last, y| scaled(last, y, Loss::Mse).unwrap_err().to_string();
        let bounded = said(of("sigmoid"), prices());
        assert!(
            bounded.starts_with("layers: the last layer, sigmoid, gives numbers from 0 to 1, but `y` goes from 100 to 300"),
            "{bounded}"
        );
        let negative = said(of("relu"), vec![-1.0, 2.0]);
        assert!(
            negative.contains("gives numbers of 0 or more, but `y` goes from -1"),
            "{negative}"
        );
    }

    #[test]
    fn curved_targets_suit_losses_that_keep_their_meaning() {
        let y = || vec![0.0, 9.0, 99.0, 999.0];
        let made = |last: Layer, loss: Loss, method| {
            let options =
                TrainOptions { loss, target_scale: Some(method), ..TrainOptions::default() };
            let train = data(y());
            let fit = Preprocessing::fit_by(&train, &options.scaling()).unwrap();
            target_scaling(&Sequential::new().dense(1).layer(last), &options, &train, (fit, false))
        };
        let log = FeatureScaling::Log;
        let plain = made(Layer::dense(1), Loss::Mse, log).unwrap();
        assert!(plain.note.unwrap().contains("nearer to its median"));
        // ln 1, ln 10, ln 100 and ln 1000 have the mean 1.5 ln 10.
        let restored = plain.preparation.restore_target(0.0, 0);
        assert!((restored - (10_f64.powf(1.5) - 1.0)).abs() < 1e-9, "{restored}");
        let said = |last, loss, method| made(last, loss, method).unwrap_err().to_string();
        let huber = said(Layer::dense(1), Loss::Huber { delta: 1.0 }, log);
        assert!(huber.starts_with("loss: huber counts in the target's own units"), "{huber}");
        let custom =
            said(Layer::dense(1), "custom(abs(p - y))".parse().unwrap(), FeatureScaling::Quantile);
        assert!(custom.contains("scaled by quantile does not keep"), "{custom}");
        let relu = Layer::Activation("relu".parse().unwrap());
        assert!(said(relu, Loss::Mse, log).starts_with("layers: the last layer, relu"));
        let counts = said(Layer::dense(1), "poisson-nll".parse().unwrap(), log);
        assert!(
            counts.starts_with("target_scale: log, but poisson-nll takes the target as it is"),
            "{counts}"
        );
        assert!(made(Layer::dense(1), "pinball(0.1, 0.5)".parse().unwrap(), log).is_ok());
    }

    #[test]
    fn parameters_of_losses_count_in_the_targets_units() {
        let y = vec![-300.0, 300.0];
        let made = |loss| scaled(Layer::dense(1), y.clone(), loss).unwrap();
        assert_eq!(made(Loss::Huber { delta: 150.0 }).loss, Loss::Huber { delta: 0.5 });
        assert_eq!(made(Loss::SmoothL1 { beta: 600.0 }).loss, Loss::SmoothL1 { beta: 2.0 });
        let gaussian = Loss::GaussianNll { full: false, eps: 900.0 };
        assert_eq!(made(gaussian).loss, Loss::GaussianNll { full: false, eps: 0.01 });
        assert!(made(Loss::Huber { delta: 150.0 }).warnings.is_empty());
        let said = made(Loss::Huber { delta: 1.0 }).warnings[0].to_string();
        assert!(said.contains("delta 1 of huber counts in the target's own units"), "{said}");
        assert!(said.contains("nearly mae"), "{said}");
        assert!(made(Loss::SmoothL1 { beta: 1e6 }).warnings[0].to_string().contains("nearly mse"));
        // Two columns of different spread keep one unit.
        let train =
            Dataset::from_arrays(&[1.0, 2.0], 1, Targets::Columns(vec![-1.0, -7.0, 1.0, 7.0], 2))
                .unwrap();
        let options = TrainOptions { loss: Loss::Huber { delta: 10.0 }, ..TrainOptions::default() };
        let usual = Preprocessing::fit(&train, FeatureScaling::Standard);
        let model = Sequential::new().dense(2);
        let made = target_scaling(&model, &options, &train, (usual, false)).unwrap();
        assert_eq!(made.preparation.target_std, [5.0, 5.0]);
        assert_eq!(made.loss, Loss::Huber { delta: 2.0 });
    }
}
