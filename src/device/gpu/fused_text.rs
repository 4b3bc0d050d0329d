//! The WGSL of a fused step that depends on its plan: which operations there are, formulas, updates, the loss, activations.
//!
//! In: what `fused_step.rs` has collected. Out: constants and text in front of `shaders/sequence.wgsl`.
//! Absent on purpose: the places of operands, which the table of operations has.

use std::fmt::Write as _;

use super::codes::{CLASS_LOSSES, FUSIONS, class_loss, short};
use super::kernels::{ROW_CLASSES, ROW_CROSS_ENTROPY, ROW_ELEMENTS, ROW_TOP};
use super::limits::MAX_STEPS;
use super::shader::{activation_text, loss_text, step_value};
use crate::graph::{ClassLoss, UpdateInput};
use crate::model::Activation;
use crate::plan::{Broadcast, Formula, FormulaId, LossVariant, Plan, Update};

/// Largest number of operations of a step: the table is a uniform of fixed size.
pub(super) const MAX_OPS: usize = 96;
/// Kinds of operations, by their numbers in the shader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OpKind {
    #[default]
    End,
    Gather,
    GatherTargets,
    GatherWeights,
    Product,
    Map,
    MapRows,
    MapColumns,
    Lookup,
    LookupGrad,
    Losses,
    PartialSums,
    LogLoss,
    UpdateRunning,
    FindBad,
    NoteBad,
    EndGuarded,
    SquareSums,
    ClipNorm,
    TrustRatio,
    Update,
}

/// The loss of a fused step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LossText {
    /// The plain cross-entropy, which has a loop of its own.
    CrossEntropy,
    Classes(ClassLoss),
    Elements {
        formula: FormulaId,
        width: u8,
    },
}

/// First elements of an update's arenas in the scratch; those of the weights are its first.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpdatePlaces {
    pub(super) gradient: usize,
    pub(super) states: [usize; 3],
    pub(super) gathered: usize,
    pub(super) average: usize,
    pub(super) factors: usize,
}

/// Everything that the text depends on.
pub(super) struct StepText<'a> {
    pub(super) plan: &'a Plan,
    /// Kinds of operations that there are, each once.
    pub(super) kinds: Vec<OpKind>,
    pub(super) acts: Vec<Activation>,
    pub(super) maps: Vec<FormulaId>,
    pub(super) updates: Vec<(FormulaId, Update, UpdatePlaces)>,
    pub(super) loss: Option<(LossText, LossVariant)>,
    /// True if targets are classes.
    pub(super) classes: bool,
    pub(super) dropout: bool,
    pub(super) scaling: Option<usize>,
    pub(super) average: Option<usize>,
}

impl OpKind {
    /// Returns the call of the operation's function.
    fn call(self) -> &'static str {
        match self {
            Self::End => "",
            Self::Gather => "gather(lane);",
            Self::GatherTargets => "gather_targets(lane);",
            Self::GatherWeights => "gather_weights(lane);",
            Self::Product => "product(Size(op.m, op.n, op.k, op.fused), lane);",
            Self::Map => "map(lane);",
            Self::MapRows => "map_rows(lane);",
            Self::MapColumns => "map_columns(lane);",
            Self::Lookup => "lookup(lane);",
            Self::LookupGrad => "lookup_grad(lane);",
            Self::Losses => "losses(lane);",
            Self::PartialSums => "partial_sums(lane);",
            Self::LogLoss => "log_loss(lane);",
            Self::UpdateRunning => "update_running(lane);",
            Self::FindBad => "find_bad(lane);",
            Self::NoteBad => "note_bad(lane);",
            Self::EndGuarded => "end_guarded(lane);",
            Self::SquareSums => "square_sums(lane);",
            Self::ClipNorm => "clip_norm(lane);",
            Self::TrustRatio => "trust_ratio(lane);",
            Self::Update => "update(lane);",
        }
    }
}

/// Returns the address of a place in the scratch.
#[expect(clippy::cast_possible_truncation, reason = "a fused step's scratch has 32 bits")]
fn address(place: usize) -> u32 {
    place as u32
}

impl StepText<'_> {
    /// Returns the constants of the shader.
    pub(super) fn consts(&self) -> Vec<(&'static str, u32)> {
        let form = self.loss.map(|it| it.1);
        let has = |of: fn(LossVariant) -> bool| u32::from(form.is_some_and(of));
        let short = self.acts.iter().all(|act| short(*act, self.dropout) == 1) && !self.dropout;
        let mut consts = FUSIONS.to_vec();
        consts.extend([
            ("END", OpKind::End as u32),
            ("MAX_OPS", MAX_OPS as u32),
            ("MAX_STEPS", MAX_STEPS),
            ("CLASSES", self.classes.into()),
            ("CONSTANTS", has(|form| form.constants)),
            ("WEIGHTS", has(|form| form.weights)),
            ("SHORT_ACT", short.into()),
            ("DROPOUT", self.dropout.into()),
            ("GUARDED", self.scaling.is_some().into()),
            ("SCALING", address(self.scaling.unwrap_or(0))),
            ("AVERAGES", self.average.is_some().into()),
            ("AVERAGE", address(self.average.unwrap_or(0))),
        ]);
        match self.loss {
            Some((LossText::Classes(loss), _)) => {
                consts.extend(CLASS_LOSSES);
                consts.push(("KIND", class_loss(loss).0));
            }
            Some((LossText::Elements { width, .. }, _)) => consts.push(("WIDTH", width.into())),
            _ => {}
        }
        consts
    }

    /// Returns the text in front of the shader.
    pub(super) fn wgsl(&self) -> String {
        let mut wgsl = String::from("fn operate(kind: u32, lane: u32) {\n    switch kind {\n");
        for kind in &self.kinds {
            let _ = writeln!(wgsl, "        case {}u: {{ {} }}", *kind as u32, kind.call());
        }
        wgsl += "        default: {}\n    }\n}\n";
        wgsl + &self.activations() + &self.formulas() + &self.update_texts() + &self.loss_text()
    }

    /// Returns the activations and their derivatives: the table says which one an operation has.
    fn activations(&self) -> String {
        if let [] | [_] = self.acts[..] {
            let act = self.acts.first().copied().unwrap_or(Activation::Identity);
            return activation_text(act, "");
        }
        let suffix = |index: usize| format!("_{index}");
        let texts = self.acts.iter().enumerate();
        let mut wgsl: String =
            texts.map(|(index, act)| activation_text(*act, &suffix(index))).collect();
        for name in ["activate", "activation_gradient"] {
            let call = |index: usize| format!("{name}_{index}(x)");
            let _ = write!(
                wgsl,
                "fn {name}(x: f32) -> f32 {{\n{}}}\n",
                switched("op.act", self.acts.len(), call)
            );
        }
        wgsl
    }

    /// Returns the formulas, and the one of the operation under way.
    fn formulas(&self) -> String {
        let texts = self.maps.iter().enumerate();
        let mut wgsl: String =
            texts.map(|(index, id)| formula_text(index, self.plan.formula(*id))).collect();
        let call = |index: usize| format!("formula_{index}(row, column)");
        let _ = write!(
            wgsl,
            "fn formula(row: u32, column: u32) -> f32 {{\n{}}}\n",
            switched("op.formula", self.maps.len(), call)
        );
        wgsl
    }

    /// Returns the passes of the update, and the one of the operation under way.
    fn update_texts(&self) -> String {
        let mut wgsl = String::new();
        let mut arms = String::new();
        for (index, (id, update, places)) in self.updates.iter().enumerate() {
            wgsl += &update_text(index, self.plan.formula(*id), *update, places);
            let _ = writeln!(arms, "        case {index}u: {{ update_{index}(at); }}");
        }
        let _ = write!(
            wgsl,
            "fn update_element(at: u32) {{\n    switch op.formula {{\n{arms}        default: {{}}\n    }}\n}}\n"
        );
        wgsl
    }

    /// Returns the function of a row's loss.
    fn loss_text(&self) -> String {
        let (files, value) = match self.loss {
            None => (String::new(), "0.0".to_string()),
            Some((LossText::CrossEntropy, _)) => (
                [ROW_TOP, ROW_CROSS_ENTROPY].concat(),
                "row_cross_entropy(row * op.n, op.n, load_label(row), f32(step.rows))".to_string(),
            ),
            Some((LossText::Classes(_), _)) => (
                [ROW_TOP, ROW_CLASSES].concat(),
                "row_of_classes(row, row * op.n, op.n, op.rate, weight, weight)".to_string(),
            ),
            Some((LossText::Elements { formula, width }, form)) => {
                // The factor makes a mean of the columns' sum where the loss is one.
                let share = if form.mean { format!("{width}.0 / f32(op.n)") } else { "1.0".into() };
                let weight = format!("weight * ({share})");
                (
                    loss_text(self.plan.formula(formula)) + ROW_ELEMENTS,
                    format!("row_of_elements(row, row * op.n, op.n, op.k, {weight}, {weight})"),
                )
            }
        };
        format!(
            "{files}\nfn loss_of_row(row: u32, weight: f32) -> f32 {{\n    return {value};\n}}\n"
        )
    }
}

/// Returns the statement that returns one of several values.
fn switched(by: &str, count: usize, value: impl Fn(usize) -> String) -> String {
    match count {
        0 => return "    return 0.0;\n".to_string(),
        1 => return format!("    return {};\n", value(0)),
        _ => {}
    }
    let mut wgsl = format!("    switch {by} {{\n");
    for index in 0..count - 1 {
        let _ = writeln!(wgsl, "        case {index}u: {{ return {}; }}", value(index));
    }
    let _ = writeln!(wgsl, "        default: {{ return {}; }}\n    }}", value(count - 1));
    wgsl
}

/// Fields of an operation that have the places of a formula's operands.
const OPERANDS: [&str; 6] = ["op.a", "op.b", "op.extra", "op.c", "op.d", "op.stream"];

/// Returns a formula as a function of an element's row and column.
fn formula_text(index: usize, formula: &Formula) -> String {
    let input = |index: u8| {
        let (operand, place) = (formula.operands[usize::from(index)], OPERANDS[usize::from(index)]);
        let (width, shift) = (address(operand.width), operand.shift.cast_unsigned());
        let plain = operand.shift == 0 && operand.width == formula.columns;
        match operand.along {
            Broadcast::Both if plain => format!("scratch[{place} + row * {width}u + column]"),
            Broadcast::Both => {
                format!("moved({place} + row * {width}u, column - {shift}u, {width}u)")
            }
            Broadcast::Columns if plain => format!("scratch[{place} + column]"),
            Broadcast::Columns => format!("moved({place}, column - {shift}u, {width}u)"),
            Broadcast::Rows => format!("scratch[{place} + row]"),
            Broadcast::Nothing => format!("scratch[{place}]"),
        }
    };
    let value = |it| step_value(it).replace("params.n", "op.n");
    let (body, out) = formula.program.wgsl(input, value);
    format!(
        "fn formula_{index}(row: u32, column: u32) -> f32 {{\n{body}    return {};\n}}\n",
        out[0]
    )
}

/// Returns a pass of the update as a function of an element's place.
fn update_text(index: usize, formula: &Formula, update: Update, places: &UpdatePlaces) -> String {
    let arena = |place: usize| format!("scratch[{}u + at]", address(place));
    let factor = |column: u32| format!("scratch[factors + {column}u]");
    let input = |index: u8| match UpdateInput::of(index) {
        UpdateInput::Weight => "scratch[at]".to_string(),
        UpdateInput::Gradient => arena(places.gradient),
        UpdateInput::State(state) => arena(places.states[state]),
        UpdateInput::Gathered => arena(places.gathered),
        UpdateInput::Average => arena(places.average),
        UpdateInput::Rate => factor(0),
        UpdateInput::Decay => factor(1),
        UpdateInput::Trust => factor(2),
        UpdateInput::Matrix => factor(3),
        UpdateInput::Clip => format!("scratch[{}u]", address(places.factors)),
        // There is no loss scale in single precision.
        UpdateInput::Inverse => "1.0".to_string(),
    };
    let (body, out) = formula.program.wgsl(input, step_value);
    let mut results = out.iter();
    // The order of the results is the one in which `UpdateTransforms::passes` lists its expressions.
    let mut store = String::new();
    let mut put = |to: String| {
        if let Some(value) = results.next() {
            let _ = writeln!(store, "    {to} = {value};");
        }
    };
    if update.writes_weight() {
        put("scratch[at]".to_string());
    }
    for state in 0..usize::from(update.changed_states()) {
        put(arena(places.states[state]));
    }
    if update.averages {
        put(arena(places.average));
    }
    let (mut dropped, mut kept) = (String::new(), String::new());
    if update.gathers {
        let gathered = arena(places.gathered);
        dropped = format!("        {gathered} = 0.0;\n");
        let sum = results.next().map_or("0.0", String::as_str);
        kept = format!("        {gathered} = {sum};\n");
        let _ = writeln!(store, "    {gathered} = 0.0;");
    }
    // Gradients that were accumulated before are dropped with a skipped update; between updates they alone change.
    format!(
        "fn update_{index}(at: u32) {{\n    if is_skipped() {{\n{dropped}        return;\n    }}\n    \
         let factors = {}u + 4u * (1u + at / 64u);\n{body}    \
         if step.apply == 0u {{\n{kept}        return;\n    }}\n{store}}}\n",
        address(places.factors)
    )
}
