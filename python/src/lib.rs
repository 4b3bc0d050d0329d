//! The module `wgrad._wgrad`: what the Python package `wgrad` needs of the crate.
//!
//! In: arrays of NumPy, tables in files, settings as texts. Out: runs with their events as lines of JSON, trained networks.
//! Absent on purpose: scikit-learn's conventions, which are written in Python.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use numpy::{IntoPyArray, PyArray2, PyArrayDyn, PyReadonlyArray1, PyReadonlyArray2, ToPyArray};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use wgrad::cli::{NamedSettings, ReadyRun, named_settings};
use wgrad::data::{self, FeatureReader, GAP_MARKS, TargetKind, Targets};
use wgrad::export::{
    ensemble_from_bytes, ensemble_to_bytes, read_ensemble, write_ensemble, write_onnx,
};
use wgrad::prelude::{Ensemble, Event, Features};
use wgrad::report::JsonLines;
use wgrad::train::{Warning, train_members};
use wgrad::{Dataset, Error, Predictor, Trainer};

/// Time after which a run that says nothing looks for Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(50);
/// Rows of a table that are predicted at once.
const ROWS: usize = 4096;

/// Turns an error into the exception that a Python program expects of its kind.
fn raised(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::File { .. } => PyOSError::new_err(text),
        Error::Setting { .. } | Error::Table { .. } | Error::Shape { .. } => {
            PyValueError::new_err(text)
        }
        _ => PyRuntimeError::new_err(text),
    }
}

/// Rows of an array, in single or double precision.
enum Rows<'py> {
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

impl<'py> Rows<'py> {
    fn of(x: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(x) = x.extract() {
            return Ok(Self::Single(x));
        }
        let double = x.extract().map(Self::Double);
        double.map_err(|_| {
            PyTypeError::new_err("rows must be an array [rows, columns] of float32 or float64")
        })
    }

    fn features(&self) -> Features<'_> {
        match self {
            Self::Single(x) => x.as_array().into(),
            Self::Double(x) => x.as_array().into(),
        }
    }

    /// Returns rows with targets.
    fn dataset(&self, targets: Targets) -> wgrad::Result<Dataset> {
        match self {
            Self::Single(x) => Dataset::from_ndarray(x.as_array(), targets),
            Self::Double(x) => Dataset::from_ndarray(x.as_array(), targets),
        }
    }
}

/// Reads the targets of rows: indices of classes, numbers `[rows]`, or numbers or labels `[rows, columns]`.
fn targets(y: &Bound<'_, PyAny>) -> PyResult<Targets> {
    if let Ok(y) = y.extract::<PyReadonlyArray1<'_, u32>>() {
        return Ok(Targets::Classes(y.as_array().to_vec()));
    }
    if let Ok(y) = y.extract::<PyReadonlyArray1<'_, f64>>() {
        return Ok(Targets::Numbers(y.as_array().to_vec()));
    }
    let y: PyReadonlyArray2<'_, f64> = y.extract()?;
    Ok(Targets::Columns(y.as_array().iter().copied().collect(), y.as_array().ncols()))
}

/// Returns rows of an array with their targets, whose classes or labels have these names.
fn labelled(
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
    names: Option<Vec<String>>,
    labels: bool,
) -> PyResult<Dataset> {
    let data = Rows::of(x)?.dataset(targets(y)?).map_err(raised)?;
    let named = match names {
        Some(names) if labels => data.with_targets(names),
        Some(names) => data.with_classes(names),
        None => Ok(data),
    };
    let data = if labels { named.and_then(Dataset::as_labels) } else { named };
    data.map_err(raised)
}

/// Reads settings by the names of the program's options.
fn named(settings: &[(String, String)]) -> PyResult<NamedSettings> {
    let pairs = settings.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    NamedSettings::new(pairs).map_err(raised)
}

/// The rows of a run.
enum Source {
    Rows(Box<Dataset>),
    Table { path: String, target: String },
}

/// A training on a thread of its own. Iterate over its events, which are lines of JSON; then take the model.
///
/// All methods take it as it is, so that a thread may stop the run while another one waits for its next event.
#[pyclass(frozen)]
struct Run {
    lines: Mutex<Receiver<String>>,
    stop: Arc<AtomicBool>,
    state: Mutex<RunState>,
}

enum RunState {
    Training(JoinHandle<wgrad::Result<Ensemble>>),
    Ended(Ensemble),
    Failed,
}

#[pymethods]
impl Run {
    /// Begins a run of rows in memory. `y` are indices of classes (uint32), numbers, or numbers or labels by columns (float64);
    /// `names` are the names of the classes or of the labels, in their order.
    #[staticmethod]
    #[pyo3(signature = (settings, x, y, *, names=None, labels=false, columns=None, weights=None))]
    fn of_rows(
        settings: Vec<(String, String)>,
        x: &Bound<'_, PyAny>,
        y: &Bound<'_, PyAny>,
        names: Option<Vec<String>>,
        labels: bool,
        columns: Option<Vec<String>>,
        weights: Option<PyReadonlyArray1<'_, f64>>,
    ) -> PyResult<Self> {
        let mut data = labelled(x, y, names, labels)?;
        if let Some(columns) = columns {
            data = data.with_columns(columns).map_err(raised)?;
        }
        if let Some(weights) = weights {
            data = data.with_weights(weights.as_array().to_vec()).map_err(raised)?;
        }
        Self::begin(&settings, Source::Rows(Box::new(data)))
    }

    /// Begins a run of a table in a file.
    #[staticmethod]
    fn of_table(settings: Vec<(String, String)>, path: String, target: String) -> PyResult<Self> {
        Self::begin(&settings, Source::Table { path, target })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    /// Returns the next event; raises what Ctrl-C raises, after the run was told to stop.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<String>> {
        loop {
            if let Err(interrupt) = py.check_signals() {
                self.stop();
                return Err(interrupt);
            }
            let lines = &self.lines;
            let next = py.detach(|| {
                lines.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE)
            });
            match next {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.end(py)?;
                    return Ok(None);
                }
            }
        }
    }

    /// Tells the run to end at its next event; what it has learned stays.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Returns the trained network or ensemble, once the run has ended.
    fn model(&self, py: Python<'_>) -> PyResult<Model> {
        self.end(py)?;
        match &*self.state() {
            RunState::Ended(ensemble) => Model::new(ensemble.clone()),
            _ => Err(PyRuntimeError::new_err("the run has failed, so there is no model")),
        }
    }
}

impl Run {
    fn state(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(settings: &[(String, String)], source: Source) -> PyResult<Self> {
        let settings = named(settings)?;
        let (sender, lines) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = std::thread::spawn(move || {
            let run = match source {
                Source::Rows(data) => settings.of_rows(*data)?,
                Source::Table { path, target } => settings.of_table(&path, &target)?,
            };
            train((&settings, &run), &sender, &stopped).map_err(|error| settings.locate(error))
        });
        Ok(Self { lines: Mutex::new(lines), stop, state: Mutex::new(RunState::Training(worker)) })
    }

    /// Waits for the end of the run, whose error is raised once.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        // Whoever waits for another thread's wait must not hold Python's lock either.
        let ended = py.detach(|| {
            let mut state = self.state();
            match std::mem::replace(&mut *state, RunState::Failed) {
                RunState::Training(worker) => Some(
                    worker
                        .join()
                        .map(|ended| ended.map(|ensemble| *state = RunState::Ended(ensemble))),
                ),
                other => {
                    *state = other;
                    None
                }
            }
        });
        let Some(ended) = ended else { return Ok(()) };
        let ended = ended.map_err(|_| {
            PyRuntimeError::new_err("the training has panicked; please report this")
        })?;
        ended.map_err(raised)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Trains one network or several, and sends what happens.
fn train(
    (settings, run): (&NamedSettings, &ReadyRun),
    lines: &Sender<String>,
    stop: &AtomicBool,
) -> wgrad::Result<Ensemble> {
    let warn = |warning: &Warning| tell(lines, &[], &Event::Warned(warning.clone()));
    for warning in &run.warnings {
        warn(warning);
    }
    // Members have the same rows and device, so what is said of one is true of all.
    let is_told = Once::new();
    let one = |trainer: &mut Trainer, part: &[(&'static str, usize)]| -> wgrad::Result<_> {
        is_told.call_once(|| {
            let device = &trainer.info().device;
            for warning in &settings.without_effect(&run.data.train, device) {
                warn(warning);
            }
        });
        for event in trainer.fit() {
            let heard = tell(lines, part, &event?);
            if !heard || stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(trainer.trained())
    };
    if run.members < 2 {
        return Ok(one(&mut run.trainer()?, &[])?.into());
    }
    let members = run.ensemble();
    let trained = train_members(&members, &run.device, |index, trainer| {
        run.begin(trainer)?;
        one(trainer, &[("member", index)])
    })?;
    Ensemble::new(trained.into_iter().collect::<wgrad::Result<Vec<_>>>()?)
}

/// Sends an event as a line of JSON. Returns false if nobody listens any more.
fn tell(lines: &Sender<String>, part: &[(&'static str, usize)], event: &Event) -> bool {
    let mut line = Vec::new();
    // Writing into memory cannot fail.
    let _ = JsonLines::new(&mut line).of_part(part.to_vec()).event(event);
    line.is_empty() || lines.send(String::from_utf8_lossy(&line).trim_end().to_string()).is_ok()
}

/// A trained network, or an ensemble.
#[pyclass(frozen)]
struct Model {
    predictor: Predictor,
}

impl Model {
    fn new(ensemble: Ensemble) -> PyResult<Self> {
        Ok(Self { predictor: Predictor::new(ensemble).map_err(raised)? })
    }

    fn ensemble(&self) -> &Ensemble {
        self.predictor.ensemble()
    }

    /// Returns predictions, or what belongs to them, as an array `[rows, columns]`.
    fn by_row<'py>(
        &self,
        py: Python<'py>,
        values: Vec<f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let columns = self.columns().len().max(1);
        let shape = (values.len() / columns, columns);
        let array = ndarray::Array2::from_shape_vec(shape, values)
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(array.into_pyarray(py))
    }
}

#[pymethods]
impl Model {
    /// Reads a model.safetensors of `wgrad train` or of :meth:`save`.
    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        Self::new(read_ensemble(path).map_err(raised)?)
    }

    /// Reads the bytes of a model.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        Self::new(ensemble_from_bytes(bytes).map_err(raised)?)
    }

    /// Returns the bytes of the model, as :meth:`save` writes them.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &ensemble_to_bytes(self.ensemble()).map_err(raised)?))
    }

    /// Writes the model, for `wgrad predict` too.
    fn save(&self, path: PathBuf) -> PyResult<()> {
        write_ensemble(self.ensemble(), path).map_err(raised)
    }

    /// Writes an ONNX file.
    fn export_onnx(&self, path: PathBuf) -> PyResult<()> {
        write_onnx(self.ensemble().clone(), path).map_err(raised)
    }

    /// Returns predictions `[rows, columns]`: probabilities of classes or labels, or numbers.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let rows = Rows::of(x)?;
        // The array may not be changed by another thread meanwhile, so the interpreter is left for the arithmetic only.
        let features = rows.features();
        let values = py.detach(|| self.predictor.predict_array(features)).map_err(raised)?;
        Ok(values.into_pyarray(py))
    }

    /// Returns predictions and, of an ensemble, their standard deviation among the members.
    #[expect(clippy::type_complexity, reason = "two arrays")]
    fn predict_with_spread<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>)> {
        let rows = Rows::of(x)?;
        let features = rows.features();
        let (values, spread) =
            py.detach(|| self.predictor.predict_with_spread(features)).map_err(raised)?;
        Ok((self.by_row(py, values.into_values())?, self.by_row(py, spread)?))
    }

    /// Returns predictions for the rows of a table in a file, and the number of cells that training had not the like of.
    fn predict_table<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
    ) -> PyResult<(Bound<'py, PyArray2<f64>>, usize)> {
        let predicted = py.detach(|| -> wgrad::Result<_> {
            let mut reader =
                FeatureReader::open(path, &self.ensemble().first().preparation.schema)?;
            let (mut values, mut odd) = (Vec::new(), 0);
            while let Some(mut chunk) = reader.next_chunk(ROWS)? {
                odd += chunk.odd.len();
                self.ensemble().first().fill_gaps(&mut chunk.x)?;
                values.extend(self.predictor.predict(&chunk.x)?.into_values());
            }
            Ok((values, odd))
        });
        let (values, odd) = predicted.map_err(raised)?;
        Ok((self.by_row(py, values)?, odd))
    }

    /// Returns the weights by their names, a dict for each member.
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let of = |params: &wgrad::Params| {
            let dict = PyDict::new(py);
            for (view, _) in params.iter() {
                if let Some(array) = params.array(&view.name) {
                    let array: Bound<'py, PyArrayDyn<f32>> = array.to_pyarray(py);
                    dict.set_item(&view.name, array)?;
                }
            }
            Ok(dict)
        };
        self.ensemble().members().iter().map(|member| of(&member.params)).collect()
    }

    /// Names of the predictions' columns.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.ensemble().first().columns().into_iter().map(|(_, name)| name).collect()
    }

    /// Names of the inputs, in their order.
    #[getter]
    fn features(&self) -> Vec<String> {
        self.ensemble().first().preparation.schema.features.clone()
    }

    /// Kind of the target: classes, labels or numbers.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.ensemble().first().preparation.schema.kind {
            TargetKind::Classes(_) => "classes",
            TargetKind::Labels(_) => "labels",
            TargetKind::Number | TargetKind::Numbers(_) => "numbers",
        }
    }

    /// Names of the classes or labels, in the order of the predictions' columns.
    #[getter]
    fn classes(&self) -> Vec<String> {
        match &self.ensemble().first().preparation.schema.kind {
            TargetKind::Classes(names) => names.clone(),
            TargetKind::Labels(labels) => labels.iter().map(|label| label.column.clone()).collect(),
            TargetKind::Number | TargetKind::Numbers(_) => Vec::new(),
        }
    }

    /// The layers as text.
    #[getter]
    fn layers(&self) -> String {
        self.ensemble().first().model.to_string()
    }

    /// Number of members; 1 for a single network.
    #[getter]
    fn members(&self) -> usize {
        self.ensemble().members().len()
    }
}

/// Training a batch at a time.
#[pyclass(unsendable)]
struct Stepper {
    trainer: Trainer,
    batch: usize,
}

#[pymethods]
impl Stepper {
    /// Prepares a network for rows like these, which say how columns and targets are scaled. `model` gives the first weights.
    #[new]
    #[pyo3(signature = (settings, x, y, *, names=None, labels=false, model=None))]
    fn new(
        settings: Vec<(String, String)>,
        x: &Bound<'_, PyAny>,
        y: &Bound<'_, PyAny>,
        names: Option<Vec<String>>,
        labels: bool,
        model: Option<&Model>,
    ) -> PyResult<Self> {
        let data = labelled(x, y, names, labels)?;
        let settings = named(&settings)?;
        let mut run = settings.of_rows(data).map_err(raised)?;
        if let Some(model) = model {
            let trained = model.ensemble().first();
            run.options.preparation = Some(trained.preparation.clone());
            run.weights = Some(trained.params.clone());
        }
        let trainer = run.trainer().map_err(|error| raised(settings.locate(error)))?;
        Ok(Self { trainer, batch: run.options.batch_size })
    }

    /// Trains on these rows once, batch by batch. Returns the mean loss of the batches.
    fn step(&mut self, x: &Bound<'_, PyAny>, y: &Bound<'_, PyAny>) -> PyResult<f64> {
        let (rows, all) = (Rows::of(x)?, targets(y)?);
        let count = all.len();
        let (mut losses, mut first) = (0.0, 0);
        while first < count {
            let last = count.min(first + self.batch);
            let y = match &all {
                Targets::Classes(y) => Targets::Classes(y[first..last].to_vec()),
                Targets::Numbers(y) => Targets::Numbers(y[first..last].to_vec()),
                Targets::Columns(y, columns) => {
                    Targets::Columns(y[first * columns..last * columns].to_vec(), *columns)
                }
            };
            let stats = match &rows {
                Rows::Single(x) => {
                    self.trainer.step_on(x.as_array().slice(ndarray::s![first..last, ..]), y)
                }
                Rows::Double(x) => {
                    self.trainer.step_on(x.as_array().slice(ndarray::s![first..last, ..]), y)
                }
            };
            losses += stats.map_err(raised)?.loss * (last - first) as f64;
            first = last;
        }
        Ok(losses / count.max(1) as f64)
    }

    /// Returns the network as it is now.
    fn model(&mut self) -> PyResult<Model> {
        self.trainer.keep_current().map_err(raised)?;
        Model::new(self.trainer.trained().into())
    }
}

/// Returns the names of the options, with `_` for `-`, each with its help text.
#[pyfunction]
fn option_helps() -> Vec<(String, &'static str)> {
    named_settings().into_iter().map(|(name, help)| (name.replace('-', "_"), help)).collect()
}

/// Returns all names that options take, with formulas and parameters.
#[pyfunction]
fn vocabulary() -> String {
    wgrad::report::vocabulary()
}

/// Returns the parts of a list between commas, in which quotes, and `brackets` if they count, keep commas.
#[pyfunction]
fn parts_of(text: &str, brackets: bool) -> Vec<String> {
    data::parts_of(text, brackets)
}

/// Returns the column and the rule of a part such as `zip:category`; None if it has no colon.
#[pyfunction]
fn column_and_rule(part: &str) -> Option<(&str, &str)> {
    data::column_and_rule(part)
}

/// Returns the texts that tables have for gaps, unless others are given.
#[pyfunction]
fn gap_marks() -> Vec<&'static str> {
    GAP_MARKS.to_vec()
}

#[pymodule]
fn _wgrad(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Run>()?;
    module.add_class::<Model>()?;
    module.add_class::<Stepper>()?;
    module.add_function(wrap_pyfunction!(option_helps, module)?)?;
    module.add_function(wrap_pyfunction!(vocabulary, module)?)?;
    module.add_function(wrap_pyfunction!(parts_of, module)?)?;
    module.add_function(wrap_pyfunction!(column_and_rule, module)?)?;
    module.add_function(wrap_pyfunction!(gap_marks, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
