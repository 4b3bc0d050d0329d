//! Each optimizer takes the steps of its formula and reaches the minimum of two functions, on the reference; all of them,
//! and what is done around them, follow stored runs of PyTorch and of the papers' algorithms on every device.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::oracle::Oracle;
use common::{Tolerance, assert_close, drive};
use serde::Deserialize;
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, Values};
use wgrad::graph::{
    Average, Loss, Optimizer, OptimizerSchedule, SHARE, Training, UpdateContext, UpdateTransforms,
    inference, training,
};
use wgrad::model::{Params, Sequential};
use wgrad::plan::{Phase, Plan, Sizes, Slot, StepParams, TrainPlan, WINDOW};

fn sgd(momentum: f64, nesterov: bool, weight_decay: f64) -> Optimizer {
    Optimizer::by_name(&format!(
        "sgd(momentum={momentum}, nesterov={nesterov}, weight-decay={weight_decay})"
    ))
    .unwrap()
}

fn adam(weight_decay: f64) -> Optimizer {
    Optimizer::adam().with("weight-decay", weight_decay).unwrap()
}

fn adamw(weight_decay: f64) -> Optimizer {
    Optimizer::adamw().with("weight-decay", weight_decay).unwrap()
}

/// Trains a linear function over all rows at once. Out: its weights (and bias) after each step.
fn descend(
    (model, optimizer): (&Sequential, Optimizer),
    (x, columns, y): (&[f32], usize, &[f32]),
    start: &[f64],
    steps: usize,
    lr: impl Fn(usize) -> f64,
) -> Vec<Vec<f64>> {
    let step = training(model, columns, Loss::Mse, optimizer.clone()).unwrap();
    let rows = x.len() / columns;
    let sizes = Sizes { batch: rows, train_rows: rows, eval_batch: 0, eval_rows: 0 };
    let plan = Plan::training(&step, &inference(model, columns).unwrap(), sizes).unwrap();
    let mut device = CpuDevice::<f64>::new();
    drive::load(&mut device, &plan, x, Values::F32(y), &[]);
    let params = plan.ports.params;
    // The views' elements one after the other, without the gaps between them.
    let places: Vec<usize> =
        step.layout.views().iter().flat_map(wgrad::model::ParamView::range).collect();
    assert_eq!(places.len(), start.len());
    let mut arena = vec![0.0; step.layout.len()];
    for (&place, &value) in places.iter().zip(start) {
        arena[place] = value;
    }
    device.set_values(params, &arena).unwrap();
    let mut trail = Vec::new();
    for first in 0..steps {
        drive::run(&mut device, Phase::Train, &drive::step_rows(&plan, &optimizer, first, 1, &lr));
        let arena = device.values(params).unwrap();
        trail.push(places.iter().map(|&place| arena[place]).collect());
    }
    trail
}

/// Three steps from w = 0.5 on (2 w − 3)², worked out with 40 digits from the formulas that PyTorch documents
/// (docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html, Adam.html, AdamW.html).
#[test]
fn three_steps_are_those_of_the_formulas() {
    let settings =
        Optimizer::by_name("adam(beta1=0.8, beta2=0.99, eps=1e-3, weight-decay=0.01)").unwrap();
    let model = Sequential::new().dense_without_bias(1);
    for (optimizer, lr, want) in [
        (sgd(0.0, false, 0.0), 0.05, [0.9, 1.14, 1.284]),
        (sgd(0.0, false, 0.01), 0.05, [0.899_75, 1.139_400_125, 1.283_070_374_937_5]),
        (sgd(0.9, false, 0.01), 0.05, [0.899_75, 1.499_175_125, 2.038_238_099_937_5]),
        (sgd(0.9, true, 0.01), 0.05, [1.259_525, 1.764_886_951_25, 1.930_717_768_071_312_5]),
        (adam(0.0), 0.1, [0.599_999_999_875, 0.699_587_772_073_616_8, 0.798_413_728_222_759]),
        (
            settings,
            0.1,
            [0.599_987_493_746_873_4, 0.699_276_890_676_041_5, 0.797_298_574_936_915_4],
        ),
        (adamw(0.01), 0.1, [0.599_499_999_875, 0.698_491_157_748_989_4, 0.796_628_165_169_402_4]),
    ] {
        let trail = descend((&model, optimizer.clone()), (&[2.0], 1, &[3.0]), &[0.5], 3, |_| lr);
        assert_close(
            &format!("{optimizer:?}"),
            &trail.concat(),
            &want,
            Tolerance { abs: 0.0, rel: 1e-14 },
        );
    }
}

/// y = 2 a − 3 b + 1 at the corners of a rectangle, a = ±1 and b = ±`narrow`: the Hessian of the mean square
/// is diag(2, 2 narrow², 2).
fn plane(narrow: f32) -> (Vec<f32>, Vec<f32>) {
    let corners = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];
    corners.map(|(a, b)| ([a, b * narrow], 2.0 * a - 3.0 * (b * narrow) + 1.0)).into_iter().fold(
        (vec![], vec![]),
        |(mut x, mut y), (row, target)| {
            x.extend(row);
            y.push(target);
            (x, y)
        },
    )
}

/// Every optimizer on a round bowl and on one that is 64 times as steep along one axis as along another.
#[test]
fn minima_are_reached() {
    let steps = 2 * WINDOW;
    for (optimizer, lr) in [
        (sgd(0.0, false, 0.0), 0.4),
        (sgd(0.9, false, 0.0), 0.05),
        (sgd(0.9, true, 0.0), 0.05),
        (adam(0.0), 0.1),
        (adamw(0.0), 0.1),
    ] {
        for narrow in [1.0, 0.125] {
            let (x, y) = plane(narrow);
            // Adam's steps have the length of the rate: it must fall for the weights to settle.
            let falling = |step: usize| match optimizer.name() {
                "sgd" => lr,
                _ => lr * (1.0 - step as f64 / steps as f64),
            };
            let model = Sequential::new().dense(1);
            let trail = descend(
                (&model, optimizer.clone()),
                (&x, 2, &y),
                &[0.3, 0.2, -0.5],
                steps,
                falling,
            );
            let what = format!("{optimizer:?} narrow {narrow}");
            let end = trail.last().unwrap();
            assert_close(&what, end, &[2.0, -3.0, 1.0], Tolerance { abs: 1e-3, rel: 0.0 });
        }
    }
}

/// The same for every optimizer, at rates that fall to 0 so that those whose steps have the rate's length settle. The bias
/// begins on the right side of 0: LAMB's steps are shares of a parameter's norm, so a single number never changes its sign.
#[test]
fn every_optimizer_reaches_both_minima() {
    let steps = 2 * WINDOW;
    for (text, lr) in [
        ("sgd(momentum=0.9, dampening=0.5)", 0.1),
        ("adam(amsgrad=true)", 0.1),
        ("adamw(weight-decay=0, amsgrad=true)", 0.1),
        ("rmsprop", 0.05),
        ("rmsprop(centered=true, momentum=0.5)", 0.02),
        ("adagrad", 0.5),
        ("adadelta(eps=0.001)", 2.0),
        ("adamax", 0.1),
        ("nadam", 0.1),
        ("radam", 0.1),
        ("lion", 0.05),
        ("lamb(weight-decay=0)", 0.05),
        ("muon(weight-decay=0)", 0.05),
        ("schedule-free", 0.2),
    ] {
        let optimizer = Optimizer::by_name(text).unwrap();
        for narrow in [1.0, 0.125] {
            let (x, y) = plane(narrow);
            let falling = |step: usize| lr * (1.0 - step as f64 / steps as f64);
            let model = Sequential::new().dense(1);
            let trail =
                descend((&model, optimizer.clone()), (&x, 2, &y), &[0.3, 0.2, 0.5], steps, falling);
            let what = format!("{text} narrow {narrow}");
            let end = trail.last().unwrap();
            assert_close(&what, end, &[2.0, -3.0, 1.0], Tolerance { abs: 2e-3, rel: 0.0 });
        }
    }
}

/// With coupled decay wd the minimum is that of mean square + wd/2 |w|²: along an axis of Hessian h it lies at
/// h / (h + wd) of the way.
#[test]
fn coupled_decay_moves_the_minimum() {
    let decay = 0.5;
    let (x, _) = plane(0.5);
    let y: Vec<f32> = x.chunks_exact(2).map(|row| 2.0 * row[0] - 3.0 * row[1]).collect();
    let share = |hessian: f64| hessian / (hessian + decay);
    let want = [2.0 * share(2.0), -3.0 * share(0.5)];
    let steps = 2 * WINDOW;
    for (optimizer, lr) in [
        (sgd(0.0, false, decay), 0.4),
        (sgd(0.9, false, decay), 0.05),
        (sgd(0.9, true, decay), 0.05),
        (adam(decay), 0.1),
    ] {
        let falling = |step: usize| match optimizer.name() {
            "sgd" => lr,
            _ => lr * (1.0 - step as f64 / steps as f64),
        };
        let model = Sequential::new().dense_without_bias(1);
        let trail = descend((&model, optimizer.clone()), (&x, 2, &y), &[0.3, 0.2], steps, falling);
        let what = format!("{optimizer:?}");
        assert_close(&what, trail.last().unwrap(), &want, Tolerance { abs: 1e-3, rel: 0.0 });
    }
}

/// Decoupled decay acts on weights that have no gradient at all: each step takes its share lr · wd.
#[test]
fn decoupled_decay_needs_no_gradient() {
    let model = Sequential::new().dense_without_bias(1);
    let trail = descend((&model, adamw(0.1)), (&[0.0], 1, &[0.0]), &[1.0], 3, |_| 0.5);
    assert_close(
        "w",
        &trail.concat(),
        &[0.95, 0.9025, 0.857_375],
        Tolerance { abs: 0.0, rel: 1e-14 },
    );
    let trail = descend((&model, adamw(0.0)), (&[0.0], 1, &[0.0]), &[1.0], 1, |_| 0.5);
    assert_close("w", &trail.concat(), &[1.0], Tolerance { abs: 0.0, rel: 0.0 });
}

/// The factor of a step on weight decay reaches the kernels of plain optimizers and the one of all others.
#[test]
fn half_of_the_decay_is_half_the_decay() {
    for text in ["sgd", "sgd(momentum=0.9)", "adam", "adamw", "adamax", "lion", "lamb"] {
        let run = |decay: f64, factor: f64| {
            let mut optimizer = Optimizer::by_name(text).unwrap();
            optimizer.set("weight-decay", decay).unwrap();
            let model = Sequential::new().dense(2);
            let step = training(&model, 3, Loss::Mse, optimizer.clone()).unwrap();
            let sizes = Sizes { batch: 2, train_rows: 2, eval_batch: 0, eval_rows: 0 };
            let plan = Plan::training(&step, &inference(&model, 3).unwrap(), sizes).unwrap();
            let mut device = CpuDevice::<f64>::new();
            let params = Params::init(&model, 3, wgrad::Seed(1)).unwrap();
            let x = [0.5, -1.0, 0.25, 1.5, 0.0, -0.5];
            let y = Values::F32(&[1.0, -1.0, 0.0, 2.0]);
            drive::load(&mut device, &plan, &x, y, params.arena());
            let mut pace = OptimizerSchedule::new(optimizer, None);
            let rows: Vec<StepParams> = (0..3)
                .map(|_| {
                    let moment = UpdateContext { lr: 0.1, decay: factor, epoch: 0, last: false };
                    StepParams { rows: 2, scalars: pace.next(moment), ..StepParams::default() }
                })
                .collect();
            drive::run(&mut device, Phase::Train, &rows);
            device.values(plan.ports.params).unwrap().to_vec()
        };
        let tolerance = Tolerance { abs: 1e-14, rel: 1e-13 };
        assert_close(text, &run(0.5, 0.5), &run(0.25, 1.0), tolerance);
        assert_ne!(run(0.5, 0.5), run(0.5, 1.0), "{text}");
    }
}

// ---- Stored trajectories: tests/oracle/optimizers.py ----

/// Both sides compute in f64: 50 steps amplify differences in the order of additions.
const F64: f64 = 1e-9;
/// The same in f32, as in tests/oracle.rs.
const F32: f64 = 1e-4;

/// A case of the stored file.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    optimizer: String,
    lr: f64,
    clip_norm: Option<f64>,
    clip_value: Option<f64>,
    #[serde(default = "one")]
    accumulate: usize,
    average: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

fn one() -> usize {
    1
}

const ROWS: usize = 53;
const BATCH: usize = 16;
const STEPS: usize = 50;

impl Case {
    fn moves(&self) -> UpdateTransforms {
        UpdateTransforms {
            accumulate: self.accumulate > 1,
            clip_norm: self.clip_norm,
            clip_value: self.clip_value,
            groups: self.groups.iter().map(|text| text.parse().unwrap()).collect(),
            average: self.average.as_ref().map(|text| text.parse::<Average>().unwrap()),
            skips: false,
        }
    }

    fn training(&self) -> Training {
        let optimizer = Optimizer::by_name(&self.optimizer).unwrap();
        let step = training(&model(), 7, Loss::Mse, optimizer).unwrap();
        step.with_moves(self.moves()).unwrap()
    }

    fn plan(&self) -> TrainPlan {
        let sizes = Sizes { batch: BATCH, train_rows: ROWS, eval_batch: 0, eval_rows: 0 };
        Plan::training(&self.training(), &inference(&model(), 7).unwrap(), sizes).unwrap()
    }

    /// The numbers of all steps, as the trainer makes them.
    fn rows(&self) -> Vec<StepParams> {
        let mut pace = OptimizerSchedule::new(
            Optimizer::by_name(&self.optimizer).unwrap(),
            self.moves().average,
        );
        let per_epoch = ROWS.div_ceil(BATCH);
        let narrow = |value: usize| u32::try_from(value).unwrap();
        let rows_of = |at: usize| BATCH.min(ROWS - at * BATCH);
        (0..STEPS)
            .map(|step| {
                let at = step % per_epoch;
                let first = at / self.accumulate * self.accumulate;
                let group = first..(first + self.accumulate).min(per_epoch);
                let mut row = StepParams {
                    first: narrow(at * BATCH),
                    rows: narrow(rows_of(at)),
                    log: narrow(step),
                    apply: at + 1 == group.end,
                    ..StepParams::default()
                };
                if row.apply {
                    let moment = UpdateContext { lr: self.lr, decay: 1.0, epoch: 0, last: false };
                    row.scalars = pace.next(moment);
                }
                row.scalars[SHARE] = rows_of(at) as f64 / group.map(rows_of).sum::<usize>() as f64;
                row
            })
            .collect()
    }
}

fn model() -> Sequential {
    Sequential::new().dense(13).tanh().dense(11).tanh().dense(3)
}

/// The stored cases; every optimizer and whatever is done around them is among them.
fn cases(oracle: &Oracle) -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(oracle.metadata("cases")).unwrap();
    for name in Optimizer::NAMES {
        assert!(cases.iter().any(|case| case.optimizer.starts_with(name)), "{name} has no case");
    }
    cases
}

/// Runs a case on a device. Out: losses, and the slots of the weights and of those for use.
fn replay(device: &mut dyn Device, oracle: &Oracle, case: &Case) -> (TrainPlan, Vec<f32>) {
    let of = |name: &str| format!("{}/{name}", case.name);
    let plan = case.plan();
    let mut params = Params::zeros(model().layout(7).unwrap());
    for view in case.training().layout.views() {
        let name = of(&format!("init/{}", view.name));
        params.set(&view.name, &view.shape, &oracle.values_f32(&name)).unwrap();
    }
    let (x, y) = (oracle.values_f32(&of("x")), oracle.values_f32(&of("y")));
    drive::load(device, &plan, &x, Values::F32(&y), params.arena());
    if let Some(averaged) = plan.ports.averaged {
        device.write(averaged, 0, Values::F32(params.arena())).unwrap();
    }
    let losses = drive::run(device, Phase::Train, &case.rows());
    (plan, losses)
}

/// Each weight within a share of itself and of its tensor's largest.
fn assert_weights(oracle: &Oracle, case: &Case, arena: &[f64], run: &str, rel: f64) {
    for view in case.training().layout.views() {
        let want = oracle.values(&format!("{}/{run}/{}", case.name, view.name));
        let what = format!("{} {run} {}", case.name, view.name);
        assert_close(&what, &arena[view.range()], want, Tolerance::scaled(rel, want));
        let start = oracle.values(&format!("{}/init/{}", case.name, view.name));
        let frozen = case
            .groups
            .iter()
            .any(|group| group.contains("frozen") && group.starts_with(&format!("{}:", view.name)));
        assert_eq!(start == want, frozen, "{what}: what the oracle's run moved");
        if frozen {
            // Bit for bit.
            assert_eq!(&arena[view.range()], want, "{what}");
        }
    }
}

/// Asks for what a device holds of a case's weights, and compares both kinds.
fn assert_case(
    oracle: &Oracle,
    case: &Case,
    plan: &TrainPlan,
    rel: f64,
    values: &mut dyn FnMut(Slot) -> Vec<f64>,
) {
    assert_weights(oracle, case, &values(plan.ports.params), "f64", rel);
    if let Some(averaged) = plan.ports.averaged {
        assert_weights(oracle, case, &values(averaged), "used", rel);
    }
}

#[test]
fn trajectories_in_f64_are_those_of_the_references() {
    let oracle = Oracle::read("optimizers");
    for case in &cases(&oracle) {
        let mut device = CpuDevice::<f64>::new();
        let (plan, _) = replay(&mut device, &oracle, case);
        let losses = &device.values(plan.ports.log).unwrap()[..STEPS];
        let want = oracle.values(&format!("{}/loss64", case.name));
        assert_close(&case.name, losses, want, Tolerance { abs: 0.0, rel: F64 });
        let mut values = |slot| device.values(slot).unwrap().to_vec();
        assert_case(&oracle, case, &plan, F64, &mut values);
    }
}

fn assert_f32(device: &mut dyn Device, oracle: &Oracle, case: &Case) {
    let (plan, losses) = replay(device, oracle, case);
    let want = oracle.values(&format!("{}/loss64", case.name));
    assert_close(&case.name, &losses, want, Tolerance { abs: 0.0, rel: F32 });
    let mut values = |slot| -> Vec<f64> {
        let read = device.read(slot, plan.slot(slot).len()).unwrap();
        read.into_iter().map(f64::from).collect()
    };
    assert_case(oracle, case, &plan, F32, &mut values);
}

#[test]
fn trajectories_in_f32_are_those_of_the_references() {
    let oracle = Oracle::read("optimizers");
    for case in &cases(&oracle) {
        assert_f32(&mut CpuDevice::<f32>::new(), &oracle, case);
    }
}

#[cfg(feature = "gpu")]
#[test]
fn trajectories_on_the_gpu_are_those_of_the_references() {
    let Some(mut device) = common::gpu() else { return };
    let oracle = Oracle::read("optimizers");
    for case in &cases(&oracle) {
        assert_f32(&mut device, &oracle, case);
    }
}

/// An optimizer of one's own that says what a known one does, and does the same.
#[test]
fn assignments_do_what_they_say() {
    let adam = "b1 = 0.9, b2 = 0.999, m = b1 * m + (1 - b1) * g, v = b2 * v + (1 - b2) * g ^ 2, \
                mhat = m / -expm1(t * log(b1)), vhat = v / -expm1(t * log(b2)), \
                w = w - lr * mhat / (sqrt(vhat) + 1e-8)";
    for (custom, known) in [
        ("w = w - lr * g", "sgd"),
        ("v = 0.9 * v + g, w = w - lr * v", "sgd(momentum=0.9)"),
        // The old value of the state, since it is read before it is assigned.
        (
            "w = w - lr * (g + 0.9 * (0.9 * v + g)), v = 0.9 * v + g",
            "sgd(momentum=0.9, nesterov=true)",
        ),
        (adam, "adam"),
        (
            "old = m, m = 0.99 * m + 0.01 * g, w = (1 - lr * decay) * w - lr * sign(0.9 * old + 0.1 * g), \
             weight-decay=0.1",
            "lion(weight-decay=0.1)",
        ),
    ] {
        let (x, y) = plane(0.5);
        let model = Sequential::new().dense(1);
        let run = |text: &str| {
            let optimizer = Optimizer::by_name(text).unwrap();
            descend((&model, optimizer), (&x, 2, &y), &[0.3, 0.2, -0.5], 5, |_| 0.05).concat()
        };
        let (got, want) = (run(&format!("custom({custom})")), run(known));
        assert_close(custom, &got, &want, Tolerance { abs: 1e-13, rel: 1e-13 });
    }
}

#[test]
fn wrong_assignments_are_told() {
    for (text, part) in [
        ("w = w - lr * q", "(\"q\")"),
        ("v = 0.9 * v + g", "nothing is assigned to w"),
        ("w = w - lr", "no weight depends on g"),
        ("g = 2 * g, w = w - g", "g is given"),
        ("w = w - g, w = w - g", "w is assigned twice"),
        ("w - lr * g", "is no assignment"),
        ("2v = g, w = w - g", "\"2v\" is no name"),
        ("a = a + g, b = b + a, c = c + b, d = d + c, w = w - d", "a, b, c, d are 4 states"),
        ("w = w - lr * g / 0 * exp(1000)", "inf"),
        ("w = w - lr * g, weight-decay=0.1", "the optimizer custom has no such setting"),
        ("w = w - lr * (g + decay * w), weight-decay=x", "\"x\" is not a number"),
    ] {
        let said = Optimizer::by_name(&format!("custom({text})")).unwrap_err().to_string();
        assert!(said.contains(part), "{text}: {said}");
    }
    let text = "custom(v = 0.9 * v + g, w = w - lr * (v + decay * w), weight-decay=0.25)";
    let optimizer = Optimizer::by_name(text).unwrap();
    assert_eq!((optimizer.to_string().as_str(), optimizer.name()), (text, "custom"));
    assert_eq!(optimizer.setting("weight-decay"), Some(0.25));
    assert_eq!(optimizer.states(), ["custom_v"]);
}
