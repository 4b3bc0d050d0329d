//! Start values that depend on the training rows: layers of [`Init::UnitVariance`], bins of piecewise-linear embeddings.
//!
//! In: layers, their random start values, training rows as the network takes them. Out: the start values that a run begins with.
//! Absent on purpose: devices of runs: all of it is computed on the CPU in f64, so that runs on any device begin alike.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};

use super::TrainOptions;
use super::predict::{eval_rows, run_all};
use crate::data::{Dataset, Preprocessing};
use crate::device::cpu::CpuDevice;
use crate::device::{Device, Values};
use crate::error::{Error, Result};
use crate::graph::inference;
use crate::model::{Init, Layer, NumberEmbedding, NumberEmbeddingKind, Params, Sequential};
use crate::plan::{Phase, Plan, Sizes};
use crate::random::{Purpose, Random};
use crate::shape::narrow;

/// Training rows that deviations are measured on, at most.
const MOST_ROWS: usize = 1024;
/// Training rows whose quantiles bins are, at most.
const MOST_ROWS_OF_BINS: usize = 50_000;
/// Rows of a batch of the layers between.
const BATCH: usize = 256;
/// Rows whose sums a bias is drawn from.
const ROWS_OF_BIAS: usize = 5;

/// Sets the layers of [`Init::UnitVariance`], one after the other: each weight is divided such that the sums of each output
/// deviate by 1 over training rows, and each bias is the negative of a random mean of five of these sums, so that the bends of
/// activations lie within the data. Dropout drops, as in training.
///
/// Bins of a piecewise-linear embedding lie between the quantiles of the training rows.
///
/// # Errors
/// If such a layer stands inside of another one, or such an embedding behind other layers.
pub(super) fn start_from_rows(
    params: &mut Params,
    model: &Sequential,
    train: &Dataset,
    (preparation, options): (&Preprocessing, &TrainOptions),
) -> Result<()> {
    let mut random = options.seed.stream(Purpose::StartValues);
    if let Some(bins) = BinnedColumns::of(model, train.columns())? {
        // A copy of the stream: bins do not change what other layers start with.
        let rows = picked_rows(train.rows(), MOST_ROWS_OF_BINS, &mut random.clone());
        bins.set(params, &rows_of(train, &rows, preparation))?;
    }
    if !model.layers().iter().any(is_measured) {
        return check_inside(model);
    }
    check_inside(model)?;
    let rows = picked_rows(train.rows(), MOST_ROWS, &mut random);
    let x = rows_of(train, &rows, preparation);
    let drops = options.schedules(1).dropout.factor(0);
    Start { params, random, x, between: Sequential::new(), views: (0, 0) }.set_all(model, drops)
}

/// Returns whether a layer's start values are measured on rows.
fn is_measured(layer: &Layer) -> bool {
    matches!(layer, Layer::Dense { init: Init::UnitVariance, .. })
}

/// Refuses such layers inside of others, whose inputs are not those of the layer before.
fn check_inside(model: &Sequential) -> Result<()> {
    fn has(model: &Sequential) -> bool {
        model.layers().iter().any(|layer| is_measured(layer) || inside(layer))
    }
    fn inside(layer: &Layer) -> bool {
        match layer {
            Layer::Residual(inner) => has(inner),
            Layer::BatchEnsemble(ensemble) => has(&ensemble.layers),
            Layer::Branches(branches) => branches.iter().any(has),
            _ => false,
        }
    }
    match model.layers().iter().position(inside) {
        None => Ok(()),
        Some(at) => Err(Error::setting(
            "init",
            format!(
                "unit-variance sets layers that stand one after the other, and layer {at} holds dense layers; give these a start of \
                 their own, such as dense(64, init=ntk)"
            ),
        )),
    }
}

/// Draws rows without repetition, so many at most.
fn picked_rows(rows: usize, most: usize, random: &mut Random) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    random.shuffle(&mut order);
    order.truncate(most);
    order
}

/// The columns of a piecewise-linear embedding at a network's beginning.
struct BinnedColumns {
    /// Place of the layer.
    place: usize,
    /// Which of the network's inputs are embedded.
    inputs: Vec<usize>,
    /// Most bins of a column.
    bins: usize,
}

impl BinnedColumns {
    /// Returns the columns of a network's piecewise-linear embedding, if it has one.
    ///
    /// # Errors
    /// If the columns of one are no inputs of the network, so that its bins cannot be measured on rows.
    fn of(model: &Sequential, inputs: usize) -> Result<Option<Self>> {
        let tables = model.tables();
        let first = usize::from(!tables.is_empty());
        let refused = |place: usize, problem: &str| {
            let layer = &model.layers()[place];
            Error::setting("layers", format!("layer {place} ({layer}): {problem}"))
        };
        let in_front = |place: usize, layer: &Layer| {
            place == first && matches!(layer, Layer::NumberEmbedding(_))
        };
        let mut layers = model.layers().iter().enumerate();
        let behind = layers.find(|(place, layer)| is_binned(layer) && !in_front(*place, layer));
        if let Some((place, _)) = behind {
            let problem = "the bins of ple are measured on the network's inputs; let it be the first layer, or the one behind tables \
                           of texts";
            return Err(refused(place, problem));
        }
        let numbers = match model.layers().get(first) {
            Some(Layer::NumberEmbedding(it)) if it.kind == NumberEmbeddingKind::Ple => it,
            _ => return Ok(None),
        };
        // Behind tables the other inputs follow these tables' columns.
        let has_table = |input: &usize| tables.iter().any(|table| table.column == *input);
        let others: Vec<usize> = (0..inputs).filter(|input| !has_table(input)).collect();
        let of_tables: usize = tables.iter().map(|table| table.dimension).sum();
        let columns = numbers.embedded(of_tables + others.len());
        let input = |&column: &usize| {
            let place = column.checked_sub(of_tables)?;
            others.get(place).copied()
        };
        let found: Option<Vec<usize>> = columns.iter().map(input).collect();
        let inputs = found.ok_or_else(|| {
            refused(first, "a column of a table of texts has no bins; leave ‘columns’ out, and those of numbers are taken")
        })?;
        Ok(Some(Self { place: first, inputs, bins: numbers.frequencies }))
    }

    /// Sets the bins of all columns by rows as the network takes them.
    fn set(&self, params: &mut Params, x: &Array2<f64>) -> Result<()> {
        let count = self.inputs.len() * self.bins;
        let [mut slope, mut offset, mut low] = [(); 3].map(|()| vec![0.0_f32; count]);
        let mut high = vec![1.0_f32; count];
        for (column, &input) in self.inputs.iter().enumerate() {
            let part = column * self.bins..(column + 1) * self.bins;
            let edges = bin_edges(x.column(input).to_vec(), self.bins);
            set_column(
                &edges,
                [&mut slope, &mut offset, &mut low, &mut high].map(|all| &mut all[part.clone()]),
            );
        }
        for (name, shape, values) in [
            ("slope", vec![count, 1], slope),
            ("offset", vec![count], offset),
            ("low", vec![count], low),
            ("high", vec![count], high),
        ] {
            params.set(&format!("{}.{name}", self.place), &shape, &values)?;
        }
        Ok(())
    }
}

/// Returns whether a piecewise-linear embedding is a layer, or stands inside of it.
fn is_binned(layer: &Layer) -> bool {
    let any = |model: &Sequential| model.layers().iter().any(is_binned);
    match layer {
        Layer::NumberEmbedding(NumberEmbedding { kind, .. }) => *kind == NumberEmbeddingKind::Ple,
        Layer::Residual(inner) => any(inner),
        Layer::Branches(branches) => branches.iter().any(any),
        _ => false,
    }
}

/// Returns the edges of bins: quantiles at equal distances, without repetitions.
fn bin_edges(mut values: Vec<f64>, bins: usize) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let quantile = |at: usize| {
        // As `torch.quantile` does: linear between the two neighbours.
        let place = last as f64 * (at as f64 / bins as f64);
        let below = place.floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = (below as usize).min(last);
        let next = values[(index + 1).min(last)];
        values[index] + (next - values[index]) * (place - below)
    };
    let mut edges: Vec<f64> = Vec::with_capacity(bins + 1);
    for edge in (0..=bins).map(quantile) {
        // A bin so narrow that single precision has no slope for it is left out.
        let wide = edges.last().is_none_or(|&before| {
            let slope = 1.0 / (edge - before);
            edge > before && slope < 1e30 && (slope * before).abs() < 1e30
        });
        edges.extend(wide.then_some(edge));
    }
    edges
}

/// Writes the lines of one column's bins and their bounds. Bins but the last stand first, and the last one at the end; those that
/// there are not stay 0.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
fn set_column(edges: &[f64], [slope, offset, low, high]: [&mut [f32]; 4]) {
    let count = edges.len().saturating_sub(1);
    for (bin, pair) in edges.windows(2).enumerate() {
        let at = if bin + 1 == count { slope.len() - 1 } else { bin };
        let width = pair[1] - pair[0];
        slope[at] = (1.0 / width) as f32;
        offset[at] = (-pair[0] / width) as f32;
        if bin == 0 {
            low[at] = f32::MIN;
        }
        if bin + 1 == count {
            high[at] = f32::MAX;
        }
    }
}

/// Returns rows as the network takes them.
fn rows_of(train: &Dataset, rows: &[usize], preparation: &Preprocessing) -> Array2<f64> {
    let columns = train.columns();
    let values: Vec<f64> = rows.iter().flat_map(|&row| train.row(row).iter()).collect();
    let scaled = preparation.features(values.as_slice()).into_iter().map(f64::from).collect();
    Array2::from_shape_vec((rows.len(), columns), scaled).expect("each row has all columns")
}

/// Layers up to a place, their values for the rows, and what they have drawn.
struct Start<'a> {
    params: &'a mut Params,
    random: Random,
    /// Input of the layers `between`.
    x: Array2<f64>,
    /// Layers that are not computed yet.
    between: Sequential,
    /// Views of the parameters: the first one of these layers, and the first one after them.
    views: (usize, usize),
}

impl Start<'_> {
    /// Goes through all layers; `drops` is the share of dropout's rates that the first step has.
    fn set_all(mut self, model: &Sequential, drops: f64) -> Result<()> {
        let inputs = self.x.ncols();
        let last = model.layers().iter().rposition(is_measured).unwrap_or(0);
        for shape in model.shapes(inputs)?.into_iter().take(last + 1) {
            match shape.layer {
                Layer::Dense { bias, ntk, init: Init::UnitVariance, .. } => {
                    self.catch_up()?;
                    self.set_dense(bias, ntk);
                }
                Layer::Dropout { rate } => {
                    self.catch_up()?;
                    self.drop(rate * drops);
                }
                layer => {
                    let own = Sequential::new().layer(layer.clone());
                    self.views.1 += own.layout(shape.inputs)?.views().len();
                    self.between = std::mem::take(&mut self.between).layer(layer);
                }
            }
        }
        Ok(())
    }

    /// Computes the layers that are not computed yet.
    fn catch_up(&mut self) -> Result<()> {
        let model = std::mem::take(&mut self.between);
        if model.layers().is_empty() {
            return Ok(());
        }
        let (rows, columns) = self.x.dim();
        let graph = inference(&model, columns)?;
        let mut own = Params::zeros(graph.layout.clone());
        let views: Vec<Vec<f32>> = self.params.iter().map(|(_, values)| values.to_vec()).collect();
        for (place, values) in views[self.views.0..self.views.1].iter().enumerate() {
            own.put(place, values);
        }
        self.views.0 = self.views.1;
        let batch = BATCH.min(rows);
        let sizes = Sizes { batch, train_rows: 0, eval_batch: batch, eval_rows: rows };
        let plan = Plan::inference(&graph, sizes)?;
        let mut device = CpuDevice::<f64>::new();
        device.load(&plan)?;
        device.write(plan.params, 0, Values::F32(own.arena()))?;
        device.set_values(
            plan.ports.eval_x,
            self.x.as_slice().expect("rows lie one after another"),
        )?;
        let steps = eval_rows(rows, plan.eval_batch);
        device.write_steps(Phase::Eval, &steps)?;
        run_all(&mut device, Phase::Eval, 0, steps.len())?;
        let outputs = model.outputs(columns)?;
        let values = device.values(plan.ports.predictions)?.to_vec();
        self.x = Array2::from_shape_vec((rows, outputs), values).map_err(|_| {
            Error::shape(
                "init",
                "the layers between two dense layers give other sizes than planned",
            )
        })?;
        Ok(())
    }

    /// Drops elements as in training.
    fn drop(&mut self, rate: f64) {
        if rate > 0.0 {
            let Self { x, random, .. } = self;
            x.mapv_inplace(|value| if random.unit() < rate { 0.0 } else { value / (1.0 - rate) });
        }
    }

    /// Sets a dense layer, and computes it.
    fn set_dense(&mut self, bias: bool, ntk: bool) {
        let place = self.views.1;
        let mut weight = self.values(place);
        let mut y = divided(&mut weight, self.x.view(), ntk);
        self.params.put(place, &weight);
        self.views.1 += 1;
        if bias {
            let picks = (0..y.ncols()).map(|_| BiasDraw::draw(y.nrows(), &mut self.random));
            let bias = biases(&y, &picks.collect::<Vec<_>>());
            y += &ndarray::Array1::from_iter(bias.iter().map(|&value| f64::from(value)));
            self.params.put(self.views.1, &bias);
            self.views.1 += 1;
        }
        self.views.0 = self.views.1;
        self.x = y;
    }

    fn values(&self, place: usize) -> Vec<f32> {
        self.params.iter().nth(place).map_or(Vec::new(), |(_, values)| values.to_vec())
    }
}

/// Divides each row of a weight `[out, in]` by the deviation of its sums over rows x `[rows, in]`, and returns the sums
/// `[rows, out]` after that; with `ntk` sums are divided by √in. A weight whose sums do not vary stays.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
fn divided(weight: &mut [f32], x: ArrayView2<'_, f64>, ntk: bool) -> Array2<f64> {
    let (rows, inputs) = x.dim();
    let outputs = weight.len() / inputs;
    let factor = if ntk { 1.0 / (inputs as f64).sqrt() } else { 1.0 };
    let wide: Vec<f64> = weight.iter().map(|&value| f64::from(value)).collect();
    let w = ArrayView2::from_shape((outputs, inputs), &wide).expect("a weight of these sizes");
    let mut y = Array2::zeros((rows, outputs));
    general_mat_mul(factor, &x, &w.t(), 0.0, &mut y);
    for (output, mut sums) in y.columns_mut().into_iter().enumerate() {
        let deviation = sums.std(0.0);
        if deviation > 0.0 && deviation.is_finite() {
            sums /= deviation;
            let own = &mut weight[output * inputs..][..inputs];
            own.iter_mut().for_each(|value| *value = (f64::from(*value) / deviation) as f32);
        }
    }
    y
}

/// Rows and their shares in a bias.
struct BiasDraw([(usize, f64); ROWS_OF_BIAS]);

impl BiasDraw {
    /// Draws rows, possibly one of them twice, and shares: exponential numbers over their sum.
    fn draw(rows: usize, random: &mut Random) -> Self {
        let rows = narrow(rows);
        let mut drawn = [(0, 0.0); ROWS_OF_BIAS];
        for pair in &mut drawn {
            // 1 − u is above 0.
            *pair = (random.below(rows) as usize, -(1.0 - random.unit()).ln());
        }
        let sum: f64 = drawn.iter().map(|it| it.1).sum();
        Self(drawn.map(|(row, share)| (row, share / sum.max(f64::MIN_POSITIVE))))
    }
}

/// Returns biases: the negative of a mean of some rows of sums y `[rows, out]` for each output.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
fn biases(y: &Array2<f64>, draws: &[BiasDraw]) -> Vec<f32> {
    let of = |(output, draw): (usize, &BiasDraw)| {
        -draw.0.iter().map(|&(row, share)| share * y[[row, output]]).sum::<f64>() as f32
    };
    draws.iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::data::Targets;
    use crate::device::DeviceKind;
    use crate::graph::Loss;
    use crate::random::Seed;
    use crate::train::Trainer;

    /// Start values that the authors' program makes of given random numbers: `tests/oracle/realmlp.py`.
    #[derive(Deserialize)]
    struct Given {
        x: Vec<Vec<f64>>,
        drawn: Vec<Vec<f64>>,
        rows: Vec<Vec<usize>>,
        shares: Vec<Vec<f64>>,
        weight: Vec<Vec<f64>>,
        bias: Vec<f64>,
    }

    #[test]
    fn given_random_numbers_give_the_authors_start_values() {
        let given: Given = serde_json::from_str(include_str!("start_values/realmlp.json")).unwrap();
        let x = Array2::from_shape_vec((12, 4), given.x.concat()).unwrap();
        let mut weight: Vec<f32> = given.drawn.concat().iter().map(|&value| value as f32).collect();
        let y = divided(&mut weight, x.view(), true);
        let close = |got: &[f32], want: &[f64]| {
            for (&got, &want) in got.iter().zip(want) {
                assert!((f64::from(got) - want).abs() < 1e-6 * want.abs().max(1.0), "{got} {want}");
            }
            assert_eq!(got.len(), want.len());
        };
        close(&weight, &given.weight.concat());
        let draws = given.rows.iter().zip(&given.shares).map(|(rows, shares)| {
            let sum: f64 = shares.iter().sum();
            let pairs: Vec<_> =
                rows.iter().copied().zip(shares.iter().map(|share| share / sum)).collect();
            BiasDraw(pairs.try_into().unwrap())
        });
        close(&biases(&y, &draws.collect::<Vec<_>>()), &given.bias);
    }

    fn table() -> Dataset {
        let mut random = Seed(3).stream(Purpose::Synthetic);
        let x: Vec<f64> = (0..600).map(|_| 5.0 + 3.0 * random.normal()).collect();
        let y = x.chunks(3).map(|x| x[0] - x[2]).collect();
        Dataset::from_arrays(&x, 3, Targets::Numbers(y)).unwrap()
    }

    fn started(layers: &str, seed: u64) -> Result<Params> {
        let data = crate::data::Split { train: table(), valid: None };
        let options = TrainOptions { loss: Loss::Mse, seed: Seed(seed), ..TrainOptions::default() };
        Trainer::new(&layers.parse()?, &data, &options, &DeviceKind::Cpu)?.params()
    }

    /// The sums of every layer deviate by 1, which a network without such layers does not have.
    #[test]
    fn sums_of_each_layer_deviate_by_1_over_the_rows() {
        let hidden =
            "pbld, dense(16, init=unit-variance), parametric(mish), dense(8, init=unit-variance)";
        let network = format!("{hidden}, tanh, dense(1)");
        let params = started(&network, 1).unwrap();
        // The first two dense layers by themselves: their sums are the outputs.
        for (text, outputs) in [("pbld, dense(16, ntk=true)", 16), (hidden, 8)] {
            let model: Sequential = text.parse().unwrap();
            let layout = model.layout(3).unwrap();
            let mut own = Params::zeros(layout.clone());
            for (place, values) in
                params.iter().map(|it| it.1.to_vec()).take(layout.views().len()).enumerate()
            {
                own.put(place, &values);
            }
            let data = table();
            let preparation = Preprocessing::fit(&data, crate::data::FeatureScaling::Standard);
            let rows: Vec<usize> = (0..data.rows()).collect();
            let x = rows_of(&data, &rows, &preparation);
            let random = Seed(0).stream(Purpose::Init);
            let mut own_start = Start {
                params: &mut own,
                random,
                x,
                between: model,
                views: (0, layout.views().len()),
            };
            own_start.catch_up().unwrap();
            assert_eq!(own_start.x.ncols(), outputs);
            for sums in own_start.x.columns() {
                assert!((sums.std(0.0) - 1.0).abs() < 1e-4, "{text}: {}", sums.std(0.0));
                // A bias is the negative of a mean of sums, so each sum has rows on both sides of 0.
                assert!(sums.iter().any(|&it| it < 0.0) && sums.iter().any(|&it| it > 0.0));
            }
        }
    }

    #[test]
    fn start_values_follow_from_the_seed_and_end_where_no_layer_asks_for_them() {
        let text = "dense(4, init=unit-variance), relu, dropout(0.5), dense(2, init=unit-variance), dense(1)";
        assert_eq!(started(text, 1).unwrap(), started(text, 1).unwrap());
        assert_ne!(started(text, 1).unwrap(), started(text, 2).unwrap());
        // Layers that start otherwise keep what was drawn for them.
        let plain: Sequential = text.parse().unwrap();
        let drawn = Params::init(&plain, 3, Seed(1)).unwrap();
        assert_eq!(started(text, 1).unwrap().get("4.weight"), drawn.get("4.weight"));
        let said = started("residual(dense(3, init=unit-variance)), dense(1)", 1).unwrap_err();
        assert!(said.to_string().contains("layer 0 holds dense layers"), "{said}");
    }

    /// A column of zeros gives sums that do not vary: their weights stay.
    #[test]
    fn sums_that_do_not_vary_leave_weights_as_they_are() {
        let (mut weight, x) = (vec![0.5_f32, -2.0], Array2::zeros((5, 1)));
        let y = divided(&mut weight, x.view(), false);
        assert_eq!((weight, y.sum()), (vec![0.5, -2.0], 0.0));
    }
}
