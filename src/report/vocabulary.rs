//! `docs/vocabulary.md`: every layer, activation, loss, optimizer, schedule, initialisation and metric, from what their modules
//! say of themselves.

use std::fmt::Write as _;

use crate::graph::{Average, Loss, Optimizer};
use crate::model::{Activation, Init, Layer};
use crate::train::{Metric, Recipe, ScheduleKind};
use crate::vocabulary::Entry;

/// Text before the tables.
const HEAD: &str = "\
# Vocabulary

Every piece by its name in options and files, its formula, its parameters with their defaults, and where these
come from. Written by `wgrad vocabulary`; a test compares.

Parameters are given in parentheses behind a name, in options, in TOML and in `str::parse` alike: `step(every=10, gamma=0.5)`.
Activations may have their argument before them: `elu(alpha=0.5)`, `elu(x, 0.5)` and `elu(0.5)` are the same. An unknown name, or
parameter, is an error that lists the known ones.
";

/// Pieces of one kind, with a line about them.
struct VocabularySection {
    kind: &'static str,
    about: &'static str,
    entries: Vec<Entry>,
}

/// Returns the kinds of pieces, in the order of the document.
fn sections() -> Vec<VocabularySection> {
    let section = |kind, about, entries| VocabularySection { kind, about, entries };
    vec![
        section(
            "Layers",
            "`--layers \"NAME(PARAMETERS), ...\"`, `[[layers]]` with `type = \"NAME\"`; activations stand among them by their names. \
             A stack inside is `residual(dense(64), relu)` or `branches((dense(8), relu), (identity))`.",
            Layer::VOCABULARY.to_vec(),
        ),
        section(
            "Activations",
            "`--activation NAME`, or an expression of x that may call them: `x * sigmoid(1.702 * x)`. With parameters of its own, an \
             activation is a `Layer` for `str::parse`.",
            Activation::vocabulary(),
        ),
        section(
            "Losses",
            "`--loss NAME`; x is an output, y a target, d = x − y. Rows may have weights, and so may classes. A loss of your own for numbers is \
             an expression of the prediction p and the target y, both in the target's own units: `--loss \"custom(abs(y - p))\"`.",
            Loss::VOCABULARY.to_vec(),
        ),
        section(
            "Optimizers",
            "`--optimizer NAME`; weight-decay, momentum, nesterov, beta1, beta2 and eps are options of their own too. An optimizer of your own is a \
             list of assignments: `--optimizer \"custom(v = 0.9 * v + g, w = w - lr * (v + decay * w), weight-decay=0.01)\"`; w is the \
             weight, g its gradient, t the number of the update, and a name that is read before it is assigned keeps its value.",
            Optimizer::VOCABULARY.to_vec(),
        ),
        section("Averaged weights", "`--average NAME`.", Average::VOCABULARY.to_vec()),
        section("Schedules", "`--schedule NAME`.", ScheduleKind::VOCABULARY.to_vec()),
        section("Initialisation", "`--init NAME`.", Init::VOCABULARY.to_vec()),
        section(
            "Metrics",
            "`--metrics NAMES`, `--stop-metric NAME`; `wgrad evaluate` gives all that suit.",
            Metric::VOCABULARY.to_vec(),
        ),
        section(
            "Recipes",
            "`--recipe NAME`: settings that go together, each of which stays an option of its own. `config.toml` of a run has all of them.",
            Recipe::VOCABULARY.to_vec(),
        ),
    ]
}

/// All entries under the names of their kinds.
pub fn entries() -> Vec<(&'static str, Vec<Entry>)> {
    sections().into_iter().map(|it| (it.kind, it.entries)).collect()
}

/// The document in Markdown.
pub fn vocabulary() -> String {
    let mut text = HEAD.to_string();
    for VocabularySection { kind, about, entries } in sections() {
        let _ = writeln!(text, "\n## {kind}\n\n{about}\n");
        text += "| name | formula | parameters | source |\n|---|---|---|---|\n";
        for Entry { name, formula, parameters, source } in entries {
            let cells = [formula, parameters, source].map(escaped);
            let [formula, parameters, source] = cells;
            let _ = writeln!(text, "| `{name}` | {formula} | {parameters} | {source} |");
        }
    }
    text
}

/// A cell's text: a bar would end it, and a star would set it in italics.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('_', "\\_")
}
