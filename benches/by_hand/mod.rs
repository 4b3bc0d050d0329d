//! A training step written by hand with ndarray, as a user without this crate would: the baseline of the CPU device.
//!
//! Everything is allocated once, products are ndarray's (matrixmultiply, with threads), all else is in plain loops.
//! It looks like a device, so that its losses are checked and its time is taken like a device's.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Zip, s};
use wgrad::device::{Device, DeviceInfo, Values};
use wgrad::graph::{Loss, Optimizer};
use wgrad::model::Params;
use wgrad::plan::{Phase, Plan, Slot, StepParams};
use wgrad::train::Workload;
use wgrad::{Result, Seed};

/// A layer: its weight and bias, each with gradient and Adam's moments behind it.
struct Layer {
    weight: [Array2<f32>; 4],
    bias: [Array1<f32>; 4],
    out: Array2<f32>,
    d_out: Array2<f32>,
}

/// Place of a weight.
const W: usize = 0;
/// Place of its gradient.
const G: usize = 1;

/// The step of a workload, by hand.
pub(crate) struct ByHand {
    workload: Workload,
    info: DeviceInfo,
    layers: Vec<Layer>,
    x: Array2<f32>,
    y: Array2<f32>,
    classes: Vec<u32>,
    slots: [Option<Slot>; 2],
    rows: Vec<StepParams>,
    losses: Vec<f32>,
}

impl ByHand {
    pub(crate) fn new(workload: Workload) -> Result<Self> {
        // The weights that the workload gives to every device.
        let params = Params::init(&workload.model(), workload.widths[0], Seed(3))?;
        let mut tensors = params.iter().map(|(_, values)| values.to_vec());
        let mut tensor = |len: usize| tensors.next().filter(|values| values.len() == len);
        let layers = workload.widths.windows(2).map(|pair| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let weight = Array2::from_shape_vec(
                (outputs, inputs),
                tensor(inputs * outputs).expect("weights come first"),
            );
            let bias = Array1::from_vec(tensor(outputs).expect("biases come second"));
            let zeros = || Array2::zeros((outputs, inputs));
            Layer {
                weight: [weight.expect("as many as counted"), zeros(), zeros(), zeros()],
                bias: [
                    bias,
                    Array1::zeros(outputs),
                    Array1::zeros(outputs),
                    Array1::zeros(outputs),
                ],
                out: Array2::zeros((workload.batch, outputs)),
                d_out: Array2::zeros((workload.batch, outputs)),
            }
        });
        let layers = layers.collect();
        let info = DeviceInfo {
            name: "by hand".to_string(),
            kind: "cpu".to_string(),
            backend: "ndarray".to_string(),
            driver: String::new(),
        };
        let empty = || Array2::zeros((0, 0));
        let (x, y, classes, slots) = (empty(), empty(), vec![], [None; 2]);
        let (rows, losses) = (vec![], vec![]);
        Ok(Self { workload, info, layers, x, y, classes, slots, rows, losses })
    }

    fn step(&mut self, row: StepParams) -> f32 {
        let batch = row.first as usize..(row.first + row.rows) as usize;
        let x = self.x.slice(s![batch.clone(), ..]);
        for index in 0..self.layers.len() {
            let (before, layers) = self.layers.split_at_mut(index);
            let last = layers.len() == 1;
            let input = before.last().map_or(x, |layer| layer.out.view());
            let Layer { weight, bias, out, .. } = &mut layers[0];
            general_mat_mul(1.0, &input, &weight[W].t(), 0.0, out);
            for mut row in out.rows_mut() {
                Zip::from(&mut row).and(&bias[W]).for_each(|out, &bias| {
                    let sum = *out + bias;
                    *out = if last || sum > 0.0 { sum } else { 0.0 };
                });
            }
        }
        let last = self.layers.last_mut().expect("a network has layers");
        let loss = match self.workload.loss {
            Loss::CROSS_ENTROPY => {
                cross_entropy(last.out.view(), &self.classes[batch], &mut last.d_out)
            }
            _ => squares(last.out.view(), self.y.slice(s![batch, ..]), &mut last.d_out),
        };
        for index in (0..self.layers.len()).rev() {
            let (before, layers) = self.layers.split_at_mut(index);
            let Layer { weight, bias, d_out, .. } = &mut layers[0];
            let input = before.last().map_or(x, |layer| layer.out.view());
            general_mat_mul(1.0, &d_out.t(), &input, 0.0, &mut weight[G]);
            bias[G].fill(0.0);
            for row in d_out.rows() {
                bias[G] += &row;
            }
            if let Some(Layer { out, d_out: d_input, .. }) = before.last_mut() {
                general_mat_mul(1.0, d_out, &weight[W], 0.0, d_input);
                Zip::from(d_input).and(out).for_each(|d, out| {
                    if *out <= 0.0 {
                        *d = 0.0;
                    }
                });
            }
        }
        let adam = self.workload.optimizer != "sgd";
        for Layer { weight, bias, .. } in &mut self.layers {
            let weight = weight.each_mut().map(|array| array.as_slice_mut().unwrap_or_default());
            let bias = bias.each_mut().map(|array| array.as_slice_mut().unwrap_or_default());
            for tensor in [weight, bias] {
                update(tensor, adam, row);
            }
        }
        loss
    }
}

fn update([w, g, m, v]: [&mut [f32]; 4], adam: bool, row: StepParams) {
    if !adam {
        let lr = row.scalars[0] as f32;
        w.iter_mut().zip(g).for_each(|(w, g)| *w -= lr * *g);
        return;
    }
    let adam = Optimizer::adam();
    let [beta1, beta2, eps] =
        ["beta1", "beta2", "eps"].map(|name| adam.setting(name).expect("adam has this setting"));
    let [beta1, rest1, beta2, rest2, eps] =
        [beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps].map(|value| value as f32);
    let (rate, correction) = (row.scalars[2] as f32, (1.0 / row.scalars[3]) as f32);
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        *m = beta1 * *m + rest1 * *g;
        *v = beta2 * *v + rest2 * *g * *g;
        *w -= rate * *m / (v.sqrt() * correction + eps);
    }
}

fn squares(out: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>, d: &mut Array2<f32>) -> f32 {
    let scale = 2.0 / out.len() as f32;
    let mut sum = 0.0;
    Zip::from(d).and(out).and(y).for_each(|d, out, y| {
        let error = out - y;
        sum += error * error;
        *d = scale * error;
    });
    sum / out.len() as f32
}

fn cross_entropy(out: ArrayView2<'_, f32>, classes: &[u32], d: &mut Array2<f32>) -> f32 {
    let rows = classes.len() as f32;
    let mut total = 0.0;
    for ((logits, mut d), &class) in out.rows().into_iter().zip(d.rows_mut()).zip(classes) {
        let max = logits.fold(f32::NEG_INFINITY, |max, &logit| max.max(logit));
        Zip::from(&mut d).and(logits).for_each(|d, logit| *d = (logit - max).exp());
        let sum = d.sum();
        total += sum.ln() - (logits[class as usize] - max);
        d.mapv_inplace(|d| d / sum / rows);
        d[class as usize] -= 1.0 / rows;
    }
    total / rows
}

impl Device for ByHand {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&mut self, plan: &Plan) -> Result<()> {
        let ends = [0, self.workload.widths.len() - 1].map(|end| self.workload.widths[end]);
        let named = |name| plan.slots().find(|(_, spec)| spec.name == name);
        let rows = named("order").map_or(0, |(_, order)| order.len());
        let columns = if self.workload.loss.classes() { 0 } else { ends[1] };
        (self.x, self.y) = (Array2::zeros((rows, ends[0])), Array2::zeros((rows, columns)));
        self.slots = ["train.x", "train.y"].map(|name| named(name).map(|(slot, _)| slot));
        Ok(())
    }

    /// Takes the table; the weights are known, and the order is that of the rows.
    fn write(&mut self, slot: Slot, _first: usize, values: Values<'_>) -> Result<()> {
        let [x, y] = self.slots.map(|known| known == Some(slot));
        match values {
            Values::F32(values) if x => self.x.iter_mut().zip(values).for_each(|(x, v)| *x = *v),
            Values::F32(values) if y => self.y.iter_mut().zip(values).for_each(|(y, v)| *y = *v),
            Values::U32(values) if y => self.classes = values.to_vec(),
            _ => {}
        }
        Ok(())
    }

    fn write_steps(&mut self, _phase: Phase, rows: &[StepParams]) -> Result<()> {
        self.rows = rows.to_vec();
        Ok(())
    }

    fn steps_per_submission(&self, _phase: Phase) -> u32 {
        16
    }

    fn run(&mut self, _phase: Phase, steps: Range<u32>) -> Result<()> {
        for step in steps {
            let loss = self.step(self.rows[step as usize]);
            self.losses.push(loss);
        }
        Ok(())
    }

    fn take_losses(&mut self, _wait: bool) -> Result<Vec<f32>> {
        Ok(self.losses.drain(..).collect())
    }

    fn read(&mut self, _slot: Slot, _len: usize) -> Result<Vec<f32>> {
        Ok(vec![])
    }

    fn slot_limit(&self) -> Option<u64> {
        None
    }

    fn bytes_for(&self, plan: &Plan) -> u64 {
        wgrad::plan::Memory::of(plan).total()
    }

    fn variants(&self) -> Vec<String> {
        vec![]
    }
}
