//! Printed plans against golden files, and what must hold for every plan: values last until they are read,
//! no step reads and writes one buffer, sharing memory never costs any.
//!
//! `UPDATE_GOLDEN=1 cargo test --test plans` writes the golden files anew.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::HashSet;
use std::path::Path;

use common::drive;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use wgrad::Seed;
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, Values};
use wgrad::graph::{Group, Loss, Objective, Optimizer, UpdateTransforms, inference, training};
use wgrad::model::{Activation, Init, Layer, Params, Sequential};
use wgrad::plan::{Kernel, Memory, Phase, Plan, Precision, Role, Sizes, Slot, Step, TrainPlan};
use wgrad::train::WORKLOADS;

fn plan(
    model: &Sequential,
    inputs: usize,
    loss: Loss,
    optimizer: Optimizer,
    sizes: Sizes,
) -> TrainPlan {
    let step = training(model, inputs, loss, optimizer).unwrap();
    Plan::training(&step, &inference(model, inputs).unwrap(), sizes).unwrap()
}

fn plan_in(
    precision: Precision,
    model: &Sequential,
    inputs: usize,
    (loss, optimizer): (Loss, Optimizer),
    sizes: Sizes,
) -> TrainPlan {
    let step = training(model, inputs, loss, optimizer).unwrap();
    let inference = inference(model, inputs).unwrap();
    Plan::training_in(precision, &step, &inference, sizes).unwrap()
}

fn relu_classifier() -> TrainPlan {
    let model = Sequential::mlp(&[128, 64], Activation::Relu, 10, Init::Pytorch);
    let sizes = Sizes { batch: 32, train_rows: 1437, eval_batch: 256, eval_rows: 360 };
    plan(&model, 64, Loss::CROSS_ENTROPY, Optimizer::default(), sizes)
}

// ---- Golden files ----

fn assert_golden(name: &str, plan: &Plan) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    let got = format!("{plan}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &got).unwrap();
        return;
    }
    let want = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", path.display()));
    // Git may check text out with Windows' line ends.
    let want = want.replace("\r\n", "\n");
    let hint = "if the new plan is right, UPDATE_GOLDEN=1 writes it";
    assert!(got == want, "{} differs; {hint}\n{}", path.display(), difference(&want, &got));
}

/// Lines of both texts: `-` for those of the old alone, `+` for those of the new alone.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    // common[i][j]: lines that old[i..] and new[j..] have in common, in order.
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let skip = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { skip };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(format!("  {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    lines.join("\n")
}

#[test]
fn differences_are_shown_by_line() {
    assert_eq!(difference("a\nb\nc", "a\nx\nc\nd"), "  a\n- b\n+ x\n  c\n+ d");
}

#[test]
fn golden_relu_classifier() {
    assert_golden("relu_classifier", &relu_classifier());
}

#[test]
fn golden_gelu_regression() {
    let model = Sequential::mlp(&[32, 16], Activation::Gelu, 1, Init::Pytorch);
    let sizes = Sizes { batch: 20, train_rows: 100, eval_batch: 25, eval_rows: 25 };
    let adam = Optimizer::by_name("adam").unwrap();
    assert_golden("gelu_regression", &plan(&model, 8, Loss::Mse, adam, sizes));
}

#[test]
fn golden_no_bias() {
    let model = Sequential::new().dense_without_bias(12).tanh().dense_without_bias(3);
    let sizes = Sizes { batch: 16, train_rows: 53, eval_batch: 0, eval_rows: 0 };
    let momentum =
        Optimizer::by_name("sgd(momentum=0.9, nesterov=true, weight-decay=1e-2)").unwrap();
    assert_golden("no_bias", &plan(&model, 7, Loss::CROSS_ENTROPY, momentum, sizes));
}

#[test]
fn golden_weighted_quantiles() {
    let loss = "pinball(0.1, 0.5, 0.9)".parse::<Loss>().unwrap();
    let objective = Objective { weights: true, ..loss.into() };
    let sizes = Sizes { batch: 16, train_rows: 53, eval_batch: 10, eval_rows: 10 };
    // Three outputs for each of two targets.
    let model = Sequential::mlp(&[12], Activation::Relu, 6, Init::Pytorch);
    let step = training(&model, 7, objective, Optimizer::sgd()).unwrap();
    let plan = Plan::training(&step, &inference(&model, 7).unwrap(), sizes).unwrap();
    assert_golden("weighted_quantiles", &plan);
}

#[test]
fn golden_single_layer() {
    let sizes = Sizes { batch: 16, train_rows: 53, eval_batch: 10, eval_rows: 10 };
    assert_golden(
        "single_layer",
        &plan(&Sequential::new().dense(2), 7, Loss::Mse, Optimizer::sgd(), sizes),
    );
}

#[test]
fn golden_half_classifier() {
    let model = Sequential::mlp(&[128, 64], Activation::Silu, 10, Init::Pytorch);
    let sizes = Sizes { batch: 32, train_rows: 1437, eval_batch: 256, eval_rows: 360 };
    let settings = (Loss::CROSS_ENTROPY, Optimizer::default());
    assert_golden("half_classifier", &plan_in(Precision::F16, &model, 64, settings, sizes));
}

#[test]
fn half_precision_costs_two_dispatches_and_saves_memory_between_kernels() {
    let model = Sequential::mlp(&[128, 64], Activation::Relu, 10, Init::Pytorch);
    let sizes = Sizes { batch: 32, train_rows: 1437, eval_batch: 0, eval_rows: 0 };
    let [single, half] = [Precision::F32, Precision::F16].map(|precision| {
        plan_in(precision, &model, 64, (Loss::CROSS_ENTROPY, Optimizer::default()), sizes)
    });
    assert_eq!(half.steps(Phase::Train).len(), single.steps(Phase::Train).len() + 2);
    let bytes = [&single, &half].map(|plan| Memory::of(plan).activations);
    assert!(bytes[1] < bytes[0] * 6 / 10, "{bytes:?}");
}

#[test]
fn golden_inference() {
    let model = Sequential::new()
        .dense(16)
        .activation(Activation::Silu)
        .dense(3)
        .activation(Activation::Sigmoid);
    let sizes = Sizes { batch: 0, train_rows: 0, eval_batch: 256, eval_rows: 1000 };
    assert_golden("inference", &Plan::inference(&inference(&model, 4).unwrap(), sizes).unwrap());
}

#[test]
fn three_layers_take_at_most_13_dispatches() {
    for act in Activation::ALL {
        for (loss, optimizer) in
            [(Loss::CROSS_ENTROPY, Optimizer::default()), (Loss::Mse, Optimizer::sgd())]
        {
            let model = Sequential::mlp(&[128, 64], act, 10, Init::Pytorch);
            let sizes = Sizes { batch: 32, train_rows: 1000, eval_batch: 32, eval_rows: 100 };
            let plan = plan(&model, 64, loss, optimizer, sizes);
            let count = plan.steps(Phase::Train).len();
            assert!(count <= 13, "{count} dispatches\n{plan}");
        }
    }
}

// ---- Chains ----

/// The plan of a hidden layer with these layers behind it.
fn with_layers(layers: &str, precision: Precision) -> TrainPlan {
    let model: Sequential = format!("dense(24), {layers}, dense(3)").parse().unwrap();
    let sizes = Sizes { batch: 16, train_rows: 53, eval_batch: 10, eval_rows: 10 };
    plan_in(precision, &model, 7, (Loss::CROSS_ENTROPY, Optimizer::sgd()), sizes)
}

/// Steps before the loss and after it, and those of predictions, that compute formulas.
fn formula_steps(plan: &Plan) -> [usize; 3] {
    let is_formula = |step: &&Step| {
        matches!(
            step.kernel,
            Kernel::Map { .. }
                | Kernel::MapRows { .. }
                | Kernel::MapColumns { .. }
                | Kernel::Chain(_)
        )
    };
    let steps = plan.steps(Phase::Train);
    let loss = steps.iter().position(|step| step.kernel == Kernel::LogLoss).unwrap();
    let count = |steps: &[Step]| steps.iter().filter(is_formula).count();
    [count(&steps[..loss]), count(&steps[loss..]), count(plan.steps(Phase::Eval))]
}

#[test]
fn a_norm_with_its_activation_takes_at_most_two_kernels_each_way() {
    // The weight of an activation of its own takes two more backward: its gradient is summed over rows, then over columns.
    let acts = [
        ("relu", 0),
        ("gelu", 0),
        ("silu", 0),
        ("tanh", 0),
        ("mish", 0),
        ("gelu, dropout(0.1)", 0),
        ("custom(x * tanh(x))", 0),
        ("prelu", 2),
        ("custom(x * tanh(x1 * x), 1)", 2),
    ];
    // Forward, backward, and in predictions, where batch norm has its statistics already.
    for (norm, want) in [
        ("layer-norm", [1, 2, 1]),
        ("layer-norm(affine=false)", [1, 1, 1]),
        ("rms-norm", [1, 2, 1]),
        ("rms-norm(affine=false)", [1, 1, 1]),
        ("batch-norm", [2, 2, 1]),
        ("batch-norm(affine=false)", [2, 2, 1]),
    ] {
        for (act, more) in acts {
            for precision in [Precision::F32, Precision::F16] {
                let plan = with_layers(&format!("{norm}, {act}"), precision);
                let found = formula_steps(&plan);
                let want = [want[0], want[1] + more, want[2]];
                let fits = found.iter().zip(want).all(|(found, want)| *found <= want);
                assert!(fits, "{norm}, {act}: {found:?}\n{}", *plan);
            }
        }
    }
}

#[test]
fn chains_bind_no_more_slots_than_every_adapter_allows() {
    for layers in [
        "batch-norm, gelu, layer-norm, silu, rms-norm",
        "residual(layer-norm, dense(24), relu), layer-norm, gelu, residual(rms-norm, gelu)",
        "branches((layer_norm), (rms_norm), (batch_norm)), softmax, log_softmax",
        "fourier(8), prelu, scale, custom(x * tanh(x)), layer_norm, dropout(0.3)",
    ] {
        let plan = with_layers(layers, Precision::F32);
        let mut chains = 0;
        for step in Phase::ALL.into_iter().flat_map(|phase| plan.steps(phase)) {
            if let Kernel::Chain(chain) = step.kernel {
                chains += 1;
                let bound = step.kernel.declaration().bound().concat().len();
                assert!(bound <= 8, "{step:?}\n{}", *plan);
                assert_eq!(chain.parts(step).len(), step.writes.len());
            }
        }
        assert!(chains > 2, "{layers}: {chains} chains");
        for phase in [Phase::Train, Phase::Eval] {
            let steps = accesses(&plan, phase);
            check_lifetimes(&steps).and_then(|()| check_usage(&steps)).unwrap();
        }
    }
}

// ---- Networks of many layers ----

/// A classifier of so many dense layers of width 8.
fn deep(layers: usize) -> Sequential {
    Sequential::mlp(&vec![8; layers - 1], Activation::Relu, 3, Init::Pytorch)
}

#[test]
fn thousands_of_layers_are_planned_and_take_a_step() {
    const LAYERS: usize = 4096;
    let sizes = Sizes { batch: 8, train_rows: 8, eval_batch: 8, eval_rows: 8 };
    let model = deep(LAYERS);
    let plan = plan(&model, 6, Loss::CROSS_ENTROPY, Optimizer::sgd(), sizes);
    // A product forward and two backward for each layer, but for the first one's input; gather, loss, log and update.
    assert_eq!(plan.steps(Phase::Train).len(), 3 * LAYERS - 1 + 4);
    assert_eq!(plan.steps(Phase::Eval).len(), LAYERS + 2);
    // As few buffers as with a few layers, and hardly more memory than what lives at once.
    assert!(plan.buffers().len() < 20, "{} buffers", plan.buffers().len());
    let memory = Memory::of(&plan);
    assert!(memory.total() <= memory.bound() + memory.bound() / 100, "{memory:?}");
    assert!(plan.to_string().lines().count() > 4 * LAYERS);

    let mut device = CpuDevice::<f32>::new();
    let params = Params::init(&model, 6, Seed(1)).unwrap();
    let x: Vec<f32> = (0..48).map(|i| (i as f32).sin()).collect();
    drive::load(&mut device, &plan, &x, Values::U32(&[0, 1, 2, 0, 1, 2, 0, 1]), params.arena());
    let losses = drive::run(
        &mut device,
        Phase::Train,
        &drive::step_rows(&plan, &Optimizer::sgd(), 0, 2, |_| 0.1),
    );
    assert!(losses.len() == 2 && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    let moved = device.read(plan.ports.params, params.arena().len()).unwrap();
    assert!(moved.iter().all(|value| value.is_finite()) && moved != params.arena());
}

#[test]
fn short_vectors_of_many_layers_share_buffers() {
    let layer = |model: Sequential, _| model.dense(8).batch_norm().tanh().dropout(0.1);
    let model = (0..600).fold(Sequential::new(), layer).dense(3);
    let sizes = Sizes { batch: 16, train_rows: 64, eval_batch: 16, eval_rows: 16 };
    let plan = plan(&model, 6, Loss::CROSS_ENTROPY, Optimizer::sgd(), sizes);
    assert!(plan.buffers().len() < 30, "{} buffers", plan.buffers().len());
    let steps = accesses(&plan, Phase::Train);
    check_lifetimes(&steps).and_then(|()| check_usage(&steps)).unwrap();
    let streams: HashSet<u32> = plan
        .formulas()
        .iter()
        .flat_map(|formula| formula.text.split("keep").skip(1).map(str::to_string))
        .map(|rest| rest.split('(').next().unwrap().parse().unwrap())
        .collect();
    // Each layer's mask is its own, more than 256 of them among them.
    assert_eq!(streams.len(), 600);
}

// ---- What holds for every plan ----

/// A slot's memory as a step sees it.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    name: String,
    buffer: String,
    range: std::ops::Range<usize>,
    role: Role,
}

/// A step as the checks see it.
#[derive(Clone, Debug)]
struct Access {
    reads: Vec<Place>,
    writes: Vec<Place>,
}

fn place(plan: &Plan, slot: Slot) -> Place {
    let (spec, buffer) = (plan.slot(slot), plan.buffer(plan.slot(slot).buffer));
    let range = spec.range();
    assert!(range.end <= buffer.elements, "{} ends beyond its buffer {}", spec.name, buffer.name);
    assert_eq!(spec.element, buffer.element, "{} lies among other numbers", spec.name);
    // Names of slots may repeat, so their numbers are part of them here.
    Place {
        name: format!("{} ({slot:?})", spec.name),
        buffer: buffer.name.clone(),
        range,
        role: buffer.role,
    }
}

fn accesses(plan: &Plan, phase: Phase) -> Vec<Access> {
    let places = |slots: &[Slot]| slots.iter().map(|&slot| place(plan, slot)).collect();
    let access = |step: &Step| Access { reads: places(&step.reads), writes: places(&step.writes) };
    plan.steps(phase).iter().map(access).collect()
}

/// Walks through a phase element by element: what a step reads inside the phase must be what the last step
/// that wrote this slot left there. Arenas are written and read in parts; of the gradients every part that
/// is written at all must be written before it is read.
fn check_lifetimes(steps: &[Access]) -> Result<(), String> {
    use std::collections::HashMap;
    // For each element of each buffer: the slot whose value lies there.
    let mut owners: HashMap<(&str, usize), &str> = HashMap::new();
    let ever_written: HashSet<(&str, usize)> = steps
        .iter()
        .flat_map(|step| &step.writes)
        .flat_map(|write| write.range.clone().map(|i| (write.buffer.as_str(), i)))
        .collect();
    for (index, step) in steps.iter().enumerate() {
        for read in &step.reads {
            for i in read.range.clone() {
                let key = (read.buffer.as_str(), i);
                let owner = owners.get(&key).copied();
                let holds = match read.role {
                    Role::Activations => owner == Some(&read.name),
                    Role::Gradients => owner.is_some() || !ever_written.contains(&key),
                    Role::Data | Role::Params | Role::State | Role::Log => true,
                };
                if !holds {
                    let owner = owner.unwrap_or("nothing");
                    return Err(format!(
                        "step {index} reads {} at {i}, where {owner} lies",
                        read.name
                    ));
                }
            }
        }
        for write in &step.writes {
            owners.extend(
                write.range.clone().map(|i| ((write.buffer.as_str(), i), write.name.as_str())),
            );
        }
    }
    Ok(())
}

/// No buffer of a step is both read and written, and no two writes of a step overlap.
fn check_usage(steps: &[Access]) -> Result<(), String> {
    for (index, step) in steps.iter().enumerate() {
        for (at, write) in step.writes.iter().enumerate() {
            if let Some(read) = step.reads.iter().find(|read| read.buffer == write.buffer) {
                return Err(format!(
                    "step {index} reads {} and writes {} in one buffer",
                    read.name, write.name
                ));
            }
            let overlaps = |other: &&Place| {
                other.buffer == write.buffer
                    && other.range.start < write.range.end
                    && write.range.start < other.range.end
            };
            if let Some(other) = step.writes[..at].iter().find(overlaps) {
                return Err(format!("step {index} writes {} over {}", write.name, other.name));
            }
        }
    }
    Ok(())
}

/// All that holds for every plan.
fn check(plan: &Plan) -> Result<(), String> {
    for phase in [Phase::Train, Phase::Eval] {
        let steps = accesses(plan, phase);
        check_lifetimes(&steps)
            .and_then(|()| check_usage(&steps))
            .map_err(|e| format!("{phase:?}: {e}"))?;
        for step in plan.steps(phase) {
            if (step.reads.len(), step.writes.len()) != step.kernel.arity() {
                return Err(format!("{phase:?}: {} has another number of slots", step.kernel));
            }
        }
    }
    // Places are told apart by their buffers' names.
    let names: HashSet<_> = plan.buffers().iter().map(|buffer| &buffer.name).collect();
    if names.len() != plan.buffers().len() {
        return Err("two buffers have one name".to_string());
    }
    let memory = Memory::of(plan);
    if memory.activations > memory.activations_unshared {
        return Err(format!("sharing costs memory: {memory:?}"));
    }
    Ok(())
}

/// Every parameter's gradient is written, by one step.
fn check_gradients(plan: &TrainPlan) -> Result<(), String> {
    for (slot, spec) in plan.slots().filter(|(slot, spec)| {
        plan.buffer(spec.buffer).role == Role::Gradients && *slot != plan.ports.gradients
    }) {
        let count =
            plan.steps(Phase::Train).iter().filter(|step| step.writes.contains(&slot)).count();
        if count != 1 {
            return Err(format!("{} is written by {count} steps", spec.name));
        }
    }
    Ok(())
}

fn made_up(role: Role, name: &str, buffer: &str, range: std::ops::Range<usize>) -> Place {
    Place { name: name.into(), buffer: buffer.into(), range, role }
}

#[test]
fn the_checks_see_a_value_that_is_overwritten() {
    let of = |name: &str, range| made_up(Role::Activations, name, "shared", range);
    let write = |place: Place| Access { reads: vec![], writes: vec![place] };
    let read = |place: Place| Access { reads: vec![place], writes: vec![] };
    let (a, b) = (of("a", 0..4), of("b", 3..5));
    assert_eq!(
        check_lifetimes(&[write(a.clone()), read(a.clone()), write(b.clone()), read(b.clone())]),
        Ok(())
    );
    let late = check_lifetimes(&[write(a.clone()), write(b), read(a.clone())]);
    assert_eq!(late, Err("step 2 reads a at 3, where b lies".to_string()));
    let never = check_lifetimes(&[read(a)]);
    assert_eq!(never, Err("step 0 reads a at 0, where nothing lies".to_string()));
    let gradient = |range| made_up(Role::Gradients, "d", "gradients", range);
    let early =
        check_lifetimes(&[write(gradient(0..2)), read(gradient(0..3)), write(gradient(2..3))]);
    assert_eq!(early, Err("step 1 reads d at 2, where nothing lies".to_string()));
}

#[test]
fn the_checks_see_a_buffer_read_and_written() {
    let of = |name: &str, range| made_up(Role::Activations, name, "shared", range);
    let both = Access { reads: vec![of("a", 0..1)], writes: vec![of("b", 1..2)] };
    assert!(check_usage(&[both]).unwrap_err().contains("reads a and writes b"));
    let twice = Access { reads: vec![], writes: vec![of("a", 0..2), of("b", 1..3)] };
    assert!(check_usage(&[twice]).unwrap_err().contains("writes b over a"));
}

#[test]
fn sharing_saves_memory() {
    let plan = relu_classifier();
    check(&plan).unwrap();
    check_gradients(&plan).unwrap();
    let memory = Memory::of(&plan);
    assert!(memory.activations < memory.activations_unshared, "{memory:?}");
    let buffers: u64 = plan.buffers().iter().map(|buffer| 4 * buffer.elements as u64).sum();
    assert_eq!(memory.total(), buffers);
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let dense = (1_usize..40, any::<bool>()).prop_map(|(units, bias)| Layer::Dense {
        units,
        bias,
        init: Init::Pytorch,
        ntk: false,
    });
    let activation = (0..Activation::ALL.len()).prop_map(|i| Layer::Activation(Activation::ALL[i]));
    proptest::collection::vec(prop_oneof![dense, activation], 1..9)
}

/// Bytes of the activations alive at once, at most, walking through each phase: a value is born with the step that
/// first writes it and lasts until no later step reads it.
fn largest_live_set(plan: &Plan) -> u64 {
    let mut most = 0;
    for phase in [Phase::Train, Phase::Eval] {
        let steps = plan.steps(phase);
        let inside = |slot: &&Slot| plan.buffer(plan.slot(**slot).buffer).role == Role::Activations;
        let mut alive: HashSet<Slot> = HashSet::new();
        for (index, step) in steps.iter().enumerate() {
            alive.extend(step.writes.iter().filter(inside));
            alive.extend(step.reads.iter().filter(inside));
            most = most.max(alive.iter().map(|&slot| 4 * plan.slot(slot).len() as u64).sum());
            let later = &steps[index + 1..];
            alive.retain(|slot| later.iter().any(|step| step.reads.contains(slot)));
        }
    }
    most
}

/// How many bytes a plan takes beyond parameters, gradients, optimizer state, data, and the largest live set, as a
/// share of these.
fn excess(plan: &TrainPlan) -> f64 {
    let (memory, live) = (Memory::of(plan), largest_live_set(plan));
    assert_eq!(memory.live, live, "\n{plan}");
    assert!(memory.activations >= live, "values overlap: {memory:?}\n{plan}");
    let states = plan.ports.states.len() as u64;
    let bound = memory.params * (2 + states) + live + memory.data;
    assert_eq!(memory.bound(), bound);
    memory.total() as f64 / bound as f64 - 1.0
}

#[test]
fn memory_is_within_a_tenth_of_the_least_possible() {
    for workload in WORKLOADS {
        let plan = workload.plan().unwrap();
        let share = excess(&plan);
        assert!(share <= 0.1, "{}: {share}\n{plan}", workload.name);
        // The activations alone, which other parts do not make look small.
        let memory = Memory::of(&plan);
        let share = memory.activations as f64 / memory.live as f64 - 1.0;
        assert!(share <= 0.1, "{}: activations {share}\n{plan}", workload.name);
    }
    for (batch, eval_batch) in [(32, 256), (256, 256), (1, 1), (100, 37)] {
        for (loss, act) in [(Loss::CROSS_ENTROPY, Activation::Relu), (Loss::Mse, Activation::Gelu)]
        {
            let model = Sequential::mlp(&[128, 64, 64, 128], act, 10, Init::Pytorch);
            let sizes = Sizes { batch, train_rows: 1000, eval_batch, eval_rows: 500 };
            let plan = plan(&model, 64, loss, Optimizer::default(), sizes);
            let share = excess(&plan);
            assert!(share <= 0.1, "{share}\n{plan}");
        }
    }
}

/// Of networks of any kind few need more: those where three values, each read in a step that writes another, need
/// three buffers at different times. Here only activations count, and batches are such that alignment costs nothing.
#[test]
fn activations_of_few_networks_exceed_the_live_set_by_a_tenth() {
    let (mut all, mut above) = (0, 0);
    let strategy = (layers(), 1_usize..50, 0_usize..30, 1_usize..20, 0..Loss::PLAIN.len());
    let mut runner = TestRunner::deterministic();
    for _ in 0..500 {
        let (layers, batch, eval, columns, loss) =
            strategy.new_tree(&mut runner).unwrap().current();
        let model = layers.into_iter().fold(Sequential::new(), Sequential::layer);
        let (batch, eval) = (64 * batch, 64 * eval);
        let sizes = Sizes { batch, train_rows: batch, eval_batch: eval.max(1), eval_rows: eval };
        let plan = plan(&model, columns, Loss::PLAIN[loss].clone(), Optimizer::sgd(), sizes);
        excess(&plan);
        let memory = Memory::of(&plan);
        assert!(memory.activations < 2 * memory.live, "{memory:?}\n{plan}");
        all += 1;
        above += u32::from(memory.activations as f64 > 1.1 * memory.live as f64);
    }
    assert!(10 * above <= all, "{above} of {all}");
}

/// The case: h1, d_h1 and d_z0 are read and written in turn, so they need three buffers; the eval phase's own h1 is
/// larger, but can take the place of one of them only.
#[test]
fn usage_of_whole_buffers_may_cost_more_than_a_tenth() {
    let model = Sequential::new().dense_without_bias(25).activation(Activation::Relu);
    let sizes = Sizes { batch: 384, train_rows: 384, eval_batch: 1152, eval_rows: 1152 };
    let memory = Memory::of(&plan(&model, 3, Loss::Mse, Optimizer::sgd(), sizes));
    let needed = 4 * 25 * (1152 + 384 + 384);
    assert!(memory.activations as f64 > 1.1 * memory.live as f64, "{memory:?}");
    assert!(memory.activations >= needed && memory.activations < needed * 11 / 10, "{memory:?}");
}

/// Any stack of layers, batch and optimizer gives a plan that keeps every promise.
#[test]
fn every_plan_keeps_its_promises() {
    let sizes = (1_usize..50, 1_usize..100, 0_usize..60, 1_usize..30);
    let settings = (0..Loss::PLAIN.len(), 0_usize..3, any::<bool>());
    let inputs = (layers(), sizes, 1_usize..20, settings);
    let mut runner =
        TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(
        &inputs,
        |(layers, (batch, train_rows, eval_rows, eval_batch), columns, settings)| {
            let (loss, optimizer, half) = settings;
            let model = layers.into_iter().fold(Sequential::new(), Sequential::layer);
            let optimizer = Optimizer::by_name(Optimizer::NAMES[optimizer]).unwrap();
            let sizes = Sizes { batch, train_rows, eval_batch, eval_rows };
            let precision = if half { Precision::F16 } else { Precision::F32 };
            let settings = (Loss::PLAIN[loss].clone(), optimizer);
            let plan = plan_in(precision, &model, columns, settings, sizes);
            for step in [Phase::Train, Phase::Eval].iter().flat_map(|&phase| plan.steps(phase)) {
                plan.stored(step).map_err(|e| TestCaseError::fail(format!("{e}\n{plan}")))?;
            }
            check(&plan)
                .and_then(|()| check_gradients(&plan))
                .map_err(|e| TestCaseError::fail(format!("{e}\n{plan}")))?;
            Ok(())
        },
    );
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn biases_activations_and_dropout_cost_no_dispatch() {
    let kernels = |model: &Sequential| -> Vec<&str> {
        let sizes = Sizes { batch: 8, train_rows: 8, eval_batch: 0, eval_rows: 0 };
        plan(model, 4, Loss::Mse, Optimizer::sgd(), sizes)
            .steps(Phase::Train)
            .iter()
            .map(|s| Kernel::name(&s.kernel))
            .collect()
    };
    let bare = Sequential::new().dense_without_bias(5).dense_without_bias(3);
    for act in Activation::ALL {
        let full = Sequential::new().dense(5).activation(act).dense(3);
        assert_eq!(kernels(&full), kernels(&bare), "{act}");
        let thinned = Sequential::new().dense(5).activation(act).dropout(0.3).dense(3);
        assert_eq!(kernels(&thinned), kernels(&bare), "{act} with dropout");
    }
}

/// The plan of a network given as text.
fn plan_of(text: &str) -> TrainPlan {
    let sizes = Sizes { batch: 8, train_rows: 20, eval_batch: 4, eval_rows: 9 };
    plan(&text.parse().unwrap(), 4, Loss::Mse, Optimizer::sgd(), sizes)
}

#[test]
fn norms_take_few_dispatches() {
    let count = |layer: &str| {
        let text = format!("dense(5, bias=false), {layer}relu, dense(3)");
        plan_of(&text).steps(Phase::Train).len()
    };
    // By rows: one forward, two backward. By columns: two of each, and two that keep the statistics.
    for (layer, most) in [
        ("batch_norm, ", 6),
        ("batch_norm(affine=false), ", 6),
        ("layer_norm, ", 3),
        ("rms_norm, ", 3),
    ] {
        let more = count(layer) - count("");
        assert!(
            more <= most,
            "{layer}{more} dispatches\n{}",
            plan_of(&format!("dense(5), {layer}relu, dense(3)"))
        );
    }
}

#[test]
fn plans_of_all_layers_hold() {
    for text in [
        "scale(bias=false), batch_norm, dense(3)",
        "dense(5), residual(batch_norm, silu), batch_norm(affine=false), tanh, dense(3)",
        "dense(6), layer_norm, relu, dropout(0.2), swiglu, residual(rms_norm, dense(3)), dense(3)",
        "branches((batch_norm), (layer_norm(affine=false), gelu), (fourier(2), scale)), softmax, dense(3)",
        "embedding(1=5x2), prelu, custom(x + x1 * x, 1), geglu(4), log_softmax, dense(3)",
    ] {
        let plan = plan_of(text);
        check(&plan).unwrap_or_else(|error| panic!("{text}: {error}\n{plan}"));
    }
}

/// WebGPU promises eight storage buffers a kernel: with every optimizer, precision and transform no step binds more.
#[test]
fn no_step_binds_more_than_eight_buffers() {
    let model = Sequential::mlp(&[5], Activation::Relu, 3, Init::Pytorch);
    let own = "custom(a = 0.9 * a + g, b = 0.9 * b + a, c = 0.9 * c + b, w = w - lr * (c + decay * w), weight-decay=0.1)";
    let more =
        ["adam(amsgrad=true)", "rmsprop(momentum=0.9, centered=true)", "sgd(momentum=0.9)", own];
    let (mut most, mut copies) = (0, 0);
    for name in Optimizer::NAMES.into_iter().chain(more) {
        let optimizer = Optimizer::by_name(name).unwrap();
        for chosen in 0..64_u32 {
            let on = |bit: u32| chosen >> bit & 1 == 1;
            let averages = on(3) && optimizer.evaluated().is_none();
            let moves = UpdateTransforms {
                accumulate: on(0),
                clip_norm: on(1).then_some(1.0),
                clip_value: on(1).then_some(1.0),
                groups: if on(2) { vec![Group::without_decay("bias")] } else { vec![] },
                average: averages.then(|| "ema".parse().unwrap()),
                skips: on(4),
            };
            let loss = "huber".parse::<Loss>().unwrap();
            let step = training(&model, 4, loss, optimizer.clone()).unwrap();
            let step = step.with_moves(moves).unwrap();
            let sizes = Sizes { batch: 8, train_rows: 16, eval_batch: 0, eval_rows: 0 };
            let precision = if on(5) { Precision::F16 } else { Precision::F32 };
            let eval = inference(&model, 4).unwrap();
            let plan = Plan::training_in(precision, &step, &eval, sizes).unwrap();
            for step in plan.steps(Phase::Train) {
                let bound = step.kernel.declaration().bound().concat().len();
                assert!(bound <= 8, "{name} {chosen:b}: {} binds {bound}", step.kernel);
                let used = step.reads.len() + step.writes.len();
                assert!(used <= bound, "{name} {chosen:b}: {}", step.kernel);
                most = most.max(bound);
                copies += usize::from(step.kernel.to_string().contains("+copies"));
            }
            check(&plan).unwrap_or_else(|problem| panic!("{name} {chosen:b}: {problem}"));
        }
    }
    assert_eq!(most, 8);
    assert!(copies > 50, "{copies}");
}
