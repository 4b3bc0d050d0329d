//! Every activation, and expressions of the user's own, against stored PyTorch values (`tests/oracle/activations.py`).

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeMap;

use serde::Deserialize;
use wgrad::device::cpu::CpuDevice;
use wgrad::device::{Device, Values};
use wgrad::expr::Expr;
use wgrad::model::{Activation, expression};
use wgrad::plan::{
    Broadcast, Element, Formula, Kernel, Operand, Phase, PlanBuilder, Role, StepParams,
};

#[derive(Deserialize)]
struct Oracle {
    x: Vec<f64>,
    functions: BTreeMap<String, Function>,
}

#[derive(Deserialize)]
struct Function {
    y: Vec<f64>,
    dy: Vec<f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("oracle/activations.json")).unwrap()
}

/// The activation of this name, and what it is of x.
fn named(name: &str) -> (Option<Activation>, Expr) {
    match name.parse::<Activation>() {
        Ok(activation) => (Some(activation), activation.expr()),
        Err(_) => (None, expression(name).unwrap()),
    }
}

fn close(what: &str, x: &[f64], got: &[f64], want: &[f64], (abs, rel): (f64, f64)) {
    assert_eq!(got.len(), want.len(), "{what}");
    for ((x, got), want) in x.iter().zip(got).zip(want) {
        assert!((got - want).abs() <= abs + rel * want.abs(), "{what} at {x}: {got}, want {want}");
    }
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let Oracle { x, functions } = oracle();
    for activation in Activation::ALL {
        assert!(functions.contains_key(activation.name()), "{activation} is not stored");
    }
    for (name, stored) in &functions {
        let (activation, expr) = named(name);
        let (value, slope) = (expr.program(), expr.derivative(0).program());
        let all = |program: &wgrad::expr::Program| -> Vec<f64> {
            x.iter().map(|&x| program.value(&[x])).collect()
        };
        // A few roundings of double precision, arguments of sines up to 300,000 included; PyTorch's softplus is x from 20
        // on, where ln(1 + exp(x)) is 2e-9 more.
        // PyTorch's gradient of the hard sigmoid has 1/6 in single precision.
        let limits = (3e-9, if name == "hard_sigmoid" { 5e-8 } else { 1e-12 });
        close(name, &x, &all(&value), &stored.y, limits);
        close(&format!("slope of {name}"), &x, &all(&slope), &stored.dy, limits);
        // The derivative of what is saved, which is y or x.
        if let Some(act) = activation {
            let saved = if act.gradient_from_output() { &stored.y } else { &x };
            let slopes: Vec<f64> =
                saved.iter().map(|&at| act.slope_program().value(&[at])).collect();
            close(&format!("gradient of {name}"), &x, &slopes, &stored.dy, limits);
        }
    }
}

/// act of x, and `d_y` = 1 times its gradient, as a device computes them.
fn run(device: &mut dyn Device, act: Activation, x: &[f32], saved: &[f32]) -> [Vec<f64>; 2] {
    let mut builder = PlanBuilder::new();
    let mut slot =
        |name: &str| builder.slot(name, vec![x.len(), 1], Element::F32, Role::Data).unwrap();
    let [x_slot, saved_slot, d_y, out, d_x] = ["x", "saved", "d_y", "out", "d_x"].map(&mut slot);
    let whole = Operand::new(Broadcast::Both, 1);
    let mut formula = |expr: Expr, operands: u8| {
        let operand = vec![whole; usize::from(operands)];
        let formula = builder.formula(Formula::new(&expr, operand, 1)).unwrap();
        Kernel::Map { formula, operands }
    };
    let (forward, backward) = (formula(act.expr(), 1), formula(act.gradient(), 2));
    let steps = vec![
        builder.step(forward, vec![x_slot], vec![out]).unwrap(),
        builder.step(backward, vec![d_y, saved_slot], vec![d_x]).unwrap(),
    ];
    builder.phase(Phase::Eval, steps);
    device.load(&builder.finish(x.len(), x.len())).unwrap();
    device.write(x_slot, 0, Values::F32(x)).unwrap();
    device.write(saved_slot, 0, Values::F32(saved)).unwrap();
    device.write(d_y, 0, Values::F32(&vec![1.0; x.len()])).unwrap();
    device.write_steps(Phase::Eval, &[StepParams::default()]).unwrap();
    device.run(Phase::Eval, 0..1).unwrap();
    [out, d_x].map(|slot| {
        let values = device.read(slot, x.len()).unwrap();
        values.into_iter().map(f64::from).collect()
    })
}

fn devices_agree(device: &mut dyn Device, activations: &[Activation]) {
    let Oracle { x, functions } = oracle();
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
    for &act in activations {
        let stored = &functions[act.name()];
        let saved = if act.gradient_from_output() { &stored.y } else { &x };
        let [y, dy] = run(device, act, &narrow(&x), &narrow(saved));
        // WGSL allows exp 3 + 2|x| units in the last place; for the sine of 30 x, 30 x is rounded.
        let steep = if act == Activation::Siren { 30.0 } else { 1.0 };
        let name = device.info().name.clone();
        close(&format!("{act} on {name}"), &x, &y, &stored.y, (3e-6 * steep, 2e-5));
        close(
            &format!("gradient of {act} on {name}"),
            &x,
            &dy,
            &stored.dy,
            (3e-6 * steep * steep, 2e-5),
        );
    }
}

#[test]
fn devices_agree_at_the_ends_too() {
    devices_agree(&mut CpuDevice::<f32>::new(), &Activation::ALL);
    #[cfg(feature = "gpu")]
    if let Some(mut device) = common::gpu() {
        devices_agree(&mut device, &Activation::ALL);
    }
}

#[test]
fn a_wrong_value_would_be_seen() {
    let Oracle { x, functions } = oracle();
    let stored = &functions["mish"];
    let mut wrong = stored.y.clone();
    wrong[90] *= 1.0 + 1e-4;
    let compare = || close("mish", &x, &wrong, &stored.y, (3e-6, 2e-5));
    assert!(std::panic::catch_unwind(compare).is_err());
}
