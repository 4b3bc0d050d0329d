//! Time of a prediction by [`Predictor`], as another program waits for it: of one row, of some, and of a whole batch.
//!
//! The predictions are compared with a plan for all rows at once before anything is timed.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wgrad::data::{FeatureScaling, Preprocessing};
use wgrad::{
    Dataset, DeviceKind, Loss, Params, Predictor, Seed, Sequential, Targets, TrainedModel,
};

/// Input columns, units of the hidden layers, classes.
const NETWORKS: [(&str, usize, &[usize], usize); 3] =
    [("small", 8, &[32, 32], 3), ("digits", 64, &[64, 64], 10), ("mnist", 784, &[512, 512], 10)];
const ROWS: [usize; 5] = [1, 8, 16, 32, 256];

fn trained(columns: usize, hidden: &[usize], classes: usize) -> (TrainedModel, Vec<f32>) {
    let rows = ROWS[ROWS.len() - 1];
    let x: Vec<f32> = (0..rows * columns).map(|i| ((i * 37 + 11) % 101) as f32 / 7.0).collect();
    let y = Targets::Classes((0..rows).map(|row| (row % classes) as u32).collect());
    let data = Dataset::from_arrays(&x, columns, y).unwrap();
    let hidden = hidden.iter().fold(Sequential::new(), |model, &units| model.dense(units).relu());
    let model = hidden.dense(classes);
    let params = Params::init(&model, columns, Seed(1)).unwrap();
    let preparation = Preprocessing::fit(&data, FeatureScaling::Standard);
    (TrainedModel { model, params, preparation, criterion: Loss::CROSS_ENTROPY.into() }, x)
}

fn predict(c: &mut Criterion) {
    for (name, columns, hidden, classes) in NETWORKS {
        let (trained, x) = trained(columns, hidden, classes);
        let whole = Predictor::new(trained.clone()).unwrap();
        let whole = whole.on_for_rows(&DeviceKind::Cpu, ROWS[4]).unwrap();
        let want = whole.predict(&x).unwrap();
        let predictor = Predictor::new(trained).unwrap();
        let mut group = c.benchmark_group(format!("predict {name}"));
        for rows in ROWS {
            let x = &x[..rows * columns];
            let got = predictor.predict(x).unwrap();
            let pairs = got.values().iter().zip(want.values());
            assert!(pairs.into_iter().all(|(got, want)| (got - want).abs() <= 1e-5), "{rows} rows");
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_function(BenchmarkId::new("rows", rows), |b| {
                b.iter(|| predictor.predict(x).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, predict);
criterion_main!(benches);
