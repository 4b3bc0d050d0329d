//! Backward against central differences, in f64, in random directions: every operation by itself, then whole
//! networks.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{SEEDS, Tolerance, assert_close, drive, labels, normal, normal_f32};
use wgrad::Seed;
use wgrad::device::Values;
use wgrad::device::cpu::CpuDevice;
use wgrad::graph::{
    Graph, Loss, NodeId, Op, Optimizer, Training, UpdateTransforms, inference, training,
};
use wgrad::model::{Activation, ParamLayout, Sequential};
use wgrad::plan::{Phase, Plan, Sizes, StepParams, TrainPlan};

/// Rows of a batch, and those of the last one, which is smaller.
const BATCH: usize = 6;
const LAST: usize = 4;
/// Columns of the features.
const INPUTS: usize = 5;
/// Step of the differences: the truncation is of order 1e-10, and so is the rounding of a loss near 1.
const H: f64 = 1e-5;
const TOLERANCE: Tolerance = Tolerance { abs: 1e-9, rel: 1e-6 };

/// A loaded step whose loss and gradient can be had at any parameters.
struct Probe {
    device: CpuDevice<f64>,
    plan: TrainPlan,
}

impl Probe {
    fn new(step: &Training, seed: Seed) -> Self {
        let Op::Features { columns } = step.graph.node(step.features).op else {
            panic!("no features")
        };
        let (targets, classes) = match step.graph.node(step.targets).op {
            Op::Targets { columns, classes } => (columns, classes),
            _ => panic!("no targets"),
        };
        let rows = BATCH + LAST;
        let unused = inference(&Sequential::new().dense(1), 1).unwrap();
        let sizes = Sizes { batch: BATCH, train_rows: rows, eval_batch: 0, eval_rows: 0 };
        let plan = Plan::training(step, &unused, sizes).unwrap();
        let mut device = CpuDevice::<f64>::new();
        let x = normal_f32(rows * columns, seed);
        let y = normal_f32(rows * targets, Seed(seed.0 + 100));
        let hot = labels(rows, u32::try_from(targets).unwrap(), seed);
        let y = if classes { Values::U32(&hot) } else { Values::F32(&y) };
        drive::load(&mut device, &plan, &x, y, &[]);
        Self { device, plan }
    }

    /// Loss and gradient; the second batch is the partial one.
    fn at(&mut self, params: &[f64], batch: usize) -> (f64, Vec<f64>) {
        let first = batch * BATCH;
        let rows = BATCH.min(BATCH + LAST - first);
        let narrow = |value: usize| u32::try_from(value).unwrap();
        let row = StepParams { first: narrow(first), rows: narrow(rows), ..StepParams::default() };
        self.device.set_values(self.plan.ports.params, params).unwrap();
        drive::run(&mut self.device, Phase::Train, &[row]);
        let loss = self.device.values(self.plan.ports.log).unwrap()[0];
        (loss, self.device.values(self.plan.ports.gradients).unwrap().to_vec())
    }
}

/// Compares the gradient with differences along random directions, one for each parameter alone and one for
/// all of them.
fn check(what: &str, step: &Training) {
    check_around(what, step, 1.0);
}

/// The size of parameters around which sums of an activation are of order 1, so that differences are straight enough.
fn size(act: Activation) -> f64 {
    if act == Activation::Siren { 1.0 / 30.0 } else { 1.0 }
}

/// The same around parameters of this size.
fn check_around(what: &str, step: &Training, size: f64) {
    for seed in SEEDS {
        let mut probe = Probe::new(step, seed);
        let params = normal(step.layout.len(), Seed(seed.0 + 200));
        let params: Vec<_> = params.into_iter().map(|param| size * param).collect();
        let moving = step.layout.views().iter().filter(|view| view.trainable);
        let mut parts: Vec<_> = moving.map(|v| (v.name.as_str(), v.range())).collect();
        parts.push(("all", 0..step.layout.len()));
        for batch in [0, 1] {
            let (_, gradient) = probe.at(&params, batch);
            for (name, part) in &parts {
                let direction = unit_vector(&step.layout, part.clone(), seed);
                let shifted = |by: f64| -> Vec<f64> {
                    params.iter().zip(&direction).map(|(p, d)| p + by * d).collect()
                };
                let mut slope = |h: f64| {
                    let (up, down) =
                        (probe.at(&shifted(h), batch).0, probe.at(&shifted(-h), batch).0);
                    (up - down) / (2.0 * h)
                };
                // Richardson's extrapolation: sines of 30 x curve too much for one difference.
                let numeric = (4.0 * slope(H / 2.0) - slope(H)) / 3.0;
                let analytic: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
                let what = format!("{what}, {seed:?}, batch {batch}, along {name}");
                assert!(numeric != 0.0, "{what}: the loss does not depend on it");
                assert_close(&what, &[analytic], &[numeric], TOLERANCE);
            }
        }
    }
}

/// A random direction of length 1 inside a part of the parameters, of those that move.
fn unit_vector(layout: &ParamLayout, part: std::ops::Range<usize>, seed: Seed) -> Vec<f64> {
    let mut direction = vec![0.0; layout.len()];
    direction[part.clone()].copy_from_slice(&normal(part.len(), Seed(seed.0 + 300)));
    for view in layout.views().iter().filter(|view| !view.trainable) {
        direction[view.range()].fill(0.0);
    }
    let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    direction.iter().map(|d| d / length).collect()
}

/// Builds a step by hand. `widths` are the chain of layers whose weights (`[5, 5]`, `[3, 5]` for 5 and 3) and
/// biases the graph's parameters are, in this order; `build` makes the prediction.
fn by_hand(
    widths: &[usize],
    bias: bool,
    loss: Loss,
    build: impl FnOnce(&mut Graph, NodeId, &[NodeId]) -> NodeId,
) -> Training {
    let chain = |model: Sequential, &units: &usize| {
        if bias { model.dense(units) } else { model.dense_without_bias(units) }
    };
    let layout = widths.iter().fold(Sequential::new(), chain).layout(INPUTS).unwrap();
    let mut graph = Graph::new();
    let features = graph.push("x", Op::Features { columns: INPUTS }).unwrap();
    let params: Vec<NodeId> = (0..)
        .zip(layout.views())
        .map(|(view, it)| {
            graph.push(&it.name, Op::Param { view, sizes: it.shape.clone() }).unwrap()
        })
        .collect();
    let prediction = build(&mut graph, features, &params);
    let columns = graph.shape(prediction).sizes(BATCH)[1];
    let targets = graph.push("targets", Op::Targets { columns, classes: loss.classes() }).unwrap();
    let loss = loss.into();
    let loss = graph.push("loss", Op::Loss { loss, prediction, targets }).unwrap();
    let gradients = graph.backward(loss).unwrap();
    let optimizer = Optimizer::sgd();
    let moves = UpdateTransforms::default();
    let running = vec![];
    Training { graph, features, targets, loss, gradients, running, layout, optimizer, moves }
}

fn push(graph: &mut Graph, name: &str, op: Op) -> NodeId {
    graph.push(name, op).unwrap()
}

#[test]
fn matmul_nt() {
    check(
        "x wᵀ",
        &by_hand(&[3], false, Loss::Mse, |g, x, p| push(g, "z", Op::MatmulNt { a: x, b: p[0] })),
    );
}

#[test]
fn matmul_nn() {
    check(
        "x w",
        &by_hand(&[5], false, Loss::Mse, |g, x, p| push(g, "z", Op::MatmulNn { a: x, b: p[0] })),
    );
    let both = by_hand(&[5, 3], false, Loss::Mse, |g, x, p| {
        let w = push(g, "w", Op::MatmulNn { a: p[1], b: p[0] });
        push(g, "z", Op::MatmulNt { a: x, b: w })
    });
    check("x (v w)ᵀ", &both);
}

#[test]
fn matmul_tn() {
    let step = by_hand(&[7, 7], true, Loss::Mse, |g, x, p| {
        // [7,7]ᵀ [7,5], with biases so that every parameter is used.
        let w = push(g, "w", Op::MatmulTn { a: p[2], b: p[0] });
        let z = push(g, "z", Op::MatmulNt { a: x, b: w });
        let z = g.add_bias("z", z, p[1]).unwrap();
        g.add_bias("z", z, p[3]).unwrap()
    });
    check("x (vᵀ w)ᵀ + b + c", &step);
}

/// Products within blocks by themselves: every rule needs the two others.
#[test]
fn block_products() {
    let blocks = 5;
    let step = by_hand(&[5, 5, 5], false, Loss::Mse, |g, x, p| {
        // [5 · 1, 5] for x within blocks of one column: [batch, 25], and back to [batch, 5].
        let wide = push(g, "wide", Op::BlockNn { a: x, b: p[0], blocks });
        let narrow = push(g, "narrow", Op::BlockNt { a: wide, b: p[1], blocks });
        push(g, "z", Op::MatmulNt { a: narrow, b: p[2] })
    });
    check("blocks of x", &step);
    let step = by_hand(&[5, 5], false, Loss::Mse, |g, x, p| {
        // The gradient's own operation of two parameters, [5, 5 · 1] and [5, 5 · 1] to [5, 1].
        let own = push(g, "own", Op::BlockTn { a: p[0], b: p[1], blocks });
        let waves = push(g, "waves", Op::BlockNt { a: x, b: own, blocks });
        let wide = push(g, "wide", Op::MatmulNt { a: x, b: p[0] });
        g.add("z", waves, wide).unwrap()
    });
    check("blocks of parameters", &step);
}

#[test]
fn add_bias() {
    let step = by_hand(&[5], true, Loss::Mse, |g, x, p| {
        let shifted = g.add_bias("shifted", x, p[1]).unwrap();
        push(g, "z", Op::MatmulNt { a: shifted, b: p[0] })
    });
    check("(x + b) wᵀ", &step);
    let step = by_hand(&[5], true, Loss::Mse, |g, x, p| {
        let w = g.add_bias("w", p[0], p[1]).unwrap();
        push(g, "z", Op::MatmulNt { a: x, b: w })
    });
    check("x (w + b)ᵀ", &step);
}

#[test]
fn add() {
    let step = by_hand(&[3], false, Loss::Mse, |g, x, p| {
        let z = push(g, "z", Op::MatmulNt { a: x, b: p[0] });
        g.add("twice", z, z).unwrap()
    });
    check("z + z", &step);
    let step = by_hand(&[5], false, Loss::Mse, |g, x, p| {
        let z = push(g, "z", Op::MatmulNt { a: x, b: p[0] });
        g.add("sum", x, z).unwrap()
    });
    check("x + z", &step);
    let residual = by_hand(&[5, 5], true, Loss::CROSS_ENTROPY, |g, x, p| {
        let z = push(g, "z1", Op::MatmulNt { a: x, b: p[0] });
        let z = g.add_bias("z1", z, p[1]).unwrap();
        let h = g.activate("h1", Activation::Gelu, z).unwrap();
        let z = push(g, "z2", Op::MatmulNt { a: h, b: p[2] });
        let z = g.add_bias("z2", z, p[3]).unwrap();
        let branch = g.activate("h2", Activation::Silu, z).unwrap();
        g.add("sum", branch, h).unwrap()
    });
    check("h + silu(h wᵀ + b)", &residual);
}

#[test]
fn parameters_that_are_added_share_a_gradient() {
    let step = by_hand(&[5, 5], false, Loss::Mse, |g, x, p| {
        let w = g.add("w", p[0], p[1]).unwrap();
        push(g, "z", Op::MatmulNt { a: x, b: w })
    });
    check("x (v + w)ᵀ", &step);
    let step = by_hand(&[5, 5], false, Loss::Mse, |g, x, p| {
        let t = g.activate("t", Activation::Tanh, p[1]).unwrap();
        let w = g.add("w", p[0], t).unwrap();
        push(g, "z", Op::MatmulNt { a: x, b: w })
    });
    check("x (v + tanh w)ᵀ", &step);
}

#[test]
fn one_weight_used_twice() {
    let step = by_hand(&[5], true, Loss::Mse, |g, x, p| {
        let z = push(g, "z1", Op::MatmulNt { a: x, b: p[0] });
        let z = g.add_bias("z1", z, p[1]).unwrap();
        let h = g.activate("h1", Activation::Tanh, z).unwrap();
        let z = push(g, "z2", Op::MatmulNn { a: h, b: p[0] });
        g.add_bias("z2", z, p[1]).unwrap()
    });
    check("tanh(x wᵀ + b) w + b", &step);
    let square = by_hand(&[5], false, Loss::Mse, |g, x, p| {
        let w = push(g, "w", Op::MatmulNn { a: p[0], b: p[0] });
        push(g, "z", Op::MatmulNt { a: x, b: w })
    });
    check("x (w w)ᵀ", &square);
}

#[test]
fn activate() {
    for act in Activation::ALL {
        let step = by_hand(&[4], false, Loss::Mse, |g, x, p| {
            let z = push(g, "z", Op::MatmulNt { a: x, b: p[0] });
            g.activate("h", act, z).unwrap()
        });
        check_around(&format!("{act}(x wᵀ)"), &step, size(act));
        let step = by_hand(&[4, 3], false, Loss::Mse, |g, x, p| {
            let w = g.activate("w", act, p[0]).unwrap();
            let z = push(g, "z", Op::MatmulNt { a: x, b: w });
            let h = g.activate("h", act, z).unwrap();
            let again = g.activate("again", act, z).unwrap();
            let sum = g.add("sum", h, again).unwrap();
            push(g, "out", Op::MatmulNt { a: sum, b: p[1] })
        });
        check_around(&format!("twice {act}(x {act}(w)ᵀ)"), &step, size(act));
        let step = by_hand(&[4, 3], false, Loss::Mse, |g, x, p| {
            let z = push(g, "z", Op::MatmulNt { a: x, b: p[0] });
            let h = g.activate("h", act, z).unwrap();
            push(g, "out", Op::MatmulNt { a: h, b: p[1] })
        });
        check_around(&format!("{act}(x wᵀ) vᵀ"), &step, size(act));
    }
}

#[test]
fn whole_networks() {
    let optimizer = Optimizer::default();
    for act in Activation::ALL {
        for loss in Loss::PLAIN {
            for bias in [true, false] {
                let dense = |model: Sequential, units| {
                    if bias { model.dense(units) } else { model.dense_without_bias(units) }
                };
                let hidden = dense(dense(Sequential::new(), 7).activation(act), 6).activation(act);
                let model = dense(hidden, 3);
                let step = training(&model, INPUTS, loss.clone(), optimizer.clone()).unwrap();
                check_around(&format!("{act}, {loss}, bias {bias}"), &step, size(act));
                let step =
                    training(&model.activation(act), INPUTS, loss.clone(), optimizer.clone())
                        .unwrap();
                check_around(&format!("{act} at the end, {loss}, bias {bias}"), &step, size(act));
            }
        }
    }
}

#[test]
fn unusual_stacks() {
    let optimizer = Optimizer::default();
    let dense = || Sequential::new().dense(4);
    for (what, model) in [
        ("one layer", dense()),
        ("no activation between", dense().dense(3)),
        ("two activations in a row", dense().tanh().activation(Activation::Gelu).dense(2)),
        ("gelu twice", dense().activation(Activation::Gelu).activation(Activation::Gelu).dense(2)),
        (
            "activation first",
            Sequential::new().activation(Activation::Silu).dense(4).tanh().dense(2),
        ),
        ("one unit", Sequential::new().dense(1).tanh().dense(1)),
        (
            "identity",
            dense().activation(Activation::Identity).dense(2).activation(Activation::Identity),
        ),
    ] {
        check(what, &training(&model, INPUTS, Loss::Mse, optimizer.clone()).unwrap());
    }
}

/// Networks of every kind of layer, as texts. A bias in front of a batch norm would change nothing.
const LAYERS: [(&str, &str); 32] = [
    ("NTK parametrisation", "dense(4, ntk=true), tanh, dense(3, ntk=true, bias=false)"),
    ("batch norm", "dense(4, bias=false), batch_norm, tanh, dense(3)"),
    ("batch norm first", "batch_norm(affine=false), dense(4), silu, dense(3)"),
    ("batch norm last", "dense(4), tanh, dense(3, bias=false), batch_norm(eps=0.01)"),
    ("batch norm after a vector", "scale(bias=false), batch_norm, dense(4), tanh, dense(3)"),
    ("batch norm beside itself", "dense(4, bias=false), residual(batch_norm, silu), dense(3)"),
    ("layer norm", "dense(4), layer_norm, silu, dense(3), layer_norm(affine=false, eps=0.1)"),
    ("RMS norm", "dense(4), rms_norm, tanh, dense(3), rms_norm(affine=false)"),
    ("residual", "dense(4), residual(dense(6), silu, dense(4)), tanh, residual(tanh), dense(3)"),
    ("nested residuals", "residual(residual(dense(5), tanh), dense(5)), dense(3)"),
    ("branches", "branches((dense(2), tanh), (identity), (dense(3), layer_norm)), dense(3)"),
    (
        "many branches",
        "dense(3), branches((tanh), (dense(2)), (sigmoid), (scale), (dense(1)), (silu), (prelu)), dense(3)",
    ),
    ("scale", "scale, dense(4), tanh, scale(bias=false), dense(3)"),
    ("fixed frequencies", "fourier(3, sigma=0.2), dense(3)"),
    ("learned frequencies", "dense(4), fourier(3, sigma=0.2, learned=true), dense(3)"),
    ("embedded numbers", "pbld(frequencies=3, outputs=2), dense(3)"),
    ("some embedded numbers", "pl(frequencies=2, outputs=3, columns=1 3-4), dense(3)"),
    ("rectified numbers", "dense(4), plr(frequencies=3, columns=0 2), dense(3)"),
    ("numbers with bends", "ple(bins=3, outputs=2), dense(3)"),
    ("some numbers with bends", "dense(4), ple(bins=2, outputs=3, columns=1-2), tanh, dense(3)"),
    (
        "numbers behind a layer",
        "dense(4), pbld(frequencies=2, columns=1-2), scale(bias=false), dense(3)",
    ),
    ("parametric", "dense(4), parametric(selu), dense(4), parametric(mish), dense(3)"),
    ("prelu", "dense(4), prelu, dense(4), prelu(per_column=true), dense(3)"),
    ("gates", "dense(8), glu, dense(6), swiglu, geglu(4), dense(3)"),
    ("softmax", "dense(4), softmax, dense(3), log_softmax"),
    ("one column", "dense(1), scale, silu, batch_norm, prelu(per_column=true), dense(3)"),
    ("custom", "dense(4), custom(x + sin(x1 * x) * x2, 1, 0.5), custom(x / (1 + x^2)), dense(3)"),
    ("shared weights", "batch_ensemble(4, dense(6), tanh, dense(4), silu, dense(3))"),
    (
        "shared weights without biases",
        "batch_ensemble(2, dense(6, bias=false, ntk=true), tanh, dense(3, bias=false, ntk=true))",
    ),
    (
        "shared weights of mini members",
        "pbld(frequencies=2, outputs=2), batch_ensemble(3, mini=true, dense(6), tanh, dense(4, ntk=true), silu, dense(3))",
    ),
    (
        "shared weights behind and around other layers",
        "dense(4), tanh, batch_ensemble(3, residual(dense(6), tanh, dense(4)), parametric(mish), batch_norm, dense(3))",
    ),
    ("members with nothing to share", "batch_ensemble(3, scale, prelu(per_column=true), dense(3))"),
];

#[test]
fn layers() {
    for (what, text) in LAYERS {
        let model: Sequential = text.parse().unwrap();
        let step = training(&model, INPUTS, Loss::Mse, Optimizer::default()).unwrap();
        check(what, &step);
    }
    for loss in ["cross-entropy", "kl-divergence", "binary-cross-entropy", "pinball(0.2, 0.7, 0.9)"]
    {
        let model = "batch_ensemble(4, dense(5), tanh, dense(3))".parse().unwrap();
        let loss: Loss = loss.parse().unwrap();
        let step = training(&model, INPUTS, loss.clone(), Optimizer::default()).unwrap();
        check(&format!("shared weights under {loss}"), &step);
    }
    let dropout = "dropout(0.2), dense(6), tanh, dropout(0.5), dense(3)".parse().unwrap();
    check(
        "dropout",
        &training(&dropout, INPUTS, Loss::CROSS_ENTROPY, Optimizer::default()).unwrap(),
    );
}

/// The check itself must see a wrong gradient: here those of two weights of one shape are swapped.
#[test]
#[should_panic(expected = "along 0.weight")]
fn a_wrong_gradient_is_seen() {
    let mut step = by_hand(&[5, 5], false, Loss::Mse, |g, x, p| {
        let h = push(g, "h", Op::MatmulNt { a: x, b: p[0] });
        push(g, "z", Op::MatmulNt { a: h, b: p[1] })
    });
    step.gradients.swap(0, 1);
    check("swapped", &step);
}
