//! Layers as they are written, with values left open: `dense(64), relu, residual(dense(64), relu), dense`.
//!
//! In: a text, or the parts of one. Out: a list of [`LayerSpec`], from which [`super::LayerParser`] makes layers.
//! Absent on purpose: which layers there are, and what their arguments mean.

use super::{Gate, VOCABULARY};
use crate::vocabulary::{WrittenCall, key_and_value, name_and_inner, parts, plain};

/// Longest text.
const MOST_BYTES: usize = 1 << 16;
/// Deepest nesting of layers in layers.
const MOST_DEPTH: usize = 16;
/// Letters of a layer that a message shows.
const LONGEST_SHOWN: usize = 60;

/// A layer as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayerSpec {
    /// The text, for messages, and for activations, which may be expressions.
    pub(super) text: String,
    pub(super) inside: Inside,
}

/// Content of a layer's brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// A name and its arguments.
    Arguments(WrittenCall),
    /// The layers of a residual connection.
    Residual(Vec<LayerSpec>),
    /// The layers of each branch.
    Branches(Vec<Vec<LayerSpec>>),
    /// The arguments of an ensemble that shares its weights, and a member's layers.
    BatchEnsemble(WrittenCall, Vec<LayerSpec>),
}

/// LayerPlace of a layer in a network, as names of parameters have it: `2` for the third layer, `2.0.1` for the second of the first branch
/// in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerPlace {
    /// Numbers of the layers around it, and of branches, each with a dot.
    around: String,
    index: usize,
    depth: usize,
}

impl LayerPlace {
    /// Returns the place so many layers later.
    pub(crate) fn plus(&self, count: usize) -> Self {
        Self { index: self.index + count, ..self.clone() }
    }

    /// Returns the place of the first layer inside of this one, or of one of its branches.
    pub(crate) fn inside(&self, branch: Option<usize>) -> Self {
        let mut around = format!("{}{}.", self.around, self.index);
        if let Some(branch) = branch {
            around.push_str(&format!("{branch}."));
        }
        Self { around, index: 0, depth: self.depth + 1 }
    }

    /// Returns the number of layers around this one.
    pub(in crate::model) fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the layer of this place and text for a message: `layer 2 (dense(64))`.
    pub(crate) fn named(&self, text: &str) -> String {
        let mut brief: String = text.chars().take(LONGEST_SHOWN).collect();
        if brief.len() < text.len() {
            brief.push('…');
        }
        format!("layer {}{} ({brief})", self.around, self.index)
    }
}

impl LayerSpec {
    /// Returns true if the layer has a number of columns of its own, which may be that of the task.
    pub(super) fn sets_columns(&self) -> bool {
        match &self.inside {
            Inside::BatchEnsemble(..) => true,
            Inside::Arguments(call) => {
                let name = call.name.replace('-', "_");
                let has_units = !call.unnamed.is_empty() || !call.named.is_empty();
                name == "dense" || has_units && Gate::ALL.iter().any(|gate| gate.name() == name)
            }
            Inside::Residual(_) | Inside::Branches(_) => false,
        }
    }

    /// Reads layers between commas.
    ///
    /// # Errors
    /// If commas or brackets are wrong, or the text is too long or too deep; the message names the layer.
    pub(crate) fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        Self::parse_at(text, &LayerPlace::default())
    }

    /// Reads layers of which the first has this place in the network.
    ///
    /// # Errors
    /// As [`Self::parse_all`].
    pub(crate) fn parse_at(text: &str, first: &LayerPlace) -> Result<Vec<Self>, String> {
        if text.len() > MOST_BYTES {
            return Err(too_much());
        }
        Self::parse_items(parts(text)?, first)
    }

    /// Reads layers that are texts of their own.
    fn parse_items(items: Vec<&str>, first: &LayerPlace) -> Result<Vec<Self>, String> {
        check_depth(first.depth())?;
        if items.is_empty() {
            return Err(no_layer());
        }
        let items = items.into_iter().enumerate();
        items.map(|(index, item)| Self::parse(item, &first.plus(index))).collect()
    }

    fn parse(item: &str, place: &LayerPlace) -> Result<Self, String> {
        let wrong = |problem: String| format!("{}: {problem}", place.named(item));
        let (name, inner) = match name_and_inner(item) {
            Ok(split) => split,
            Err(_) => {
                let problem = "it does not end with ')'; is a comma missing, or a bracket?";
                return Err(wrong(problem.into()));
            }
        };
        let inside = match name.to_ascii_lowercase().as_str() {
            "residual" => Inside::Residual(Self::parse_at(inner, &place.inside(None))?),
            "batch_ensemble" | "batch-ensemble" => {
                let items = parts(inner).map_err(wrong)?;
                let (arguments, layers): (Vec<_>, Vec<_>) =
                    items.into_iter().partition(|item| is_argument(item));
                Inside::BatchEnsemble(
                    WrittenCall::of_parts(name, arguments),
                    Self::parse_items(layers, &place.inside(None))?,
                )
            }
            "branches" => {
                let branches = parts(inner).map_err(wrong)?.into_iter().enumerate();
                let branches = branches.map(|(index, branch)| {
                    let layers = branch.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
                    let layers = layers.ok_or_else(|| {
                        wrong(format!(
                            "\"{branch}\" is no stack in brackets; write branches((dense(8), relu), (identity))"
                        ))
                    })?;
                    Self::parse_at(layers, &place.inside(Some(index)))
                });
                Inside::Branches(branches.collect::<Result<_, String>>()?)
            }
            name => match WrittenCall::parse(item) {
                Ok(written) => Inside::Arguments(written),
                Err(problem) if VOCABULARY.iter().any(|it| plain(it.name) == plain(name)) => {
                    return Err(wrong(problem));
                }
                // A text that is no layer with arguments may be an expression of an activation.
                Err(_) => Inside::Arguments(WrittenCall::default()),
            },
        };
        Ok(Self { text: item.to_string(), inside })
    }
}

#[cfg(feature = "cli")]
impl LayerSpec {
    /// A layer by its name and its arguments.
    pub(crate) fn new(name: &str, unnamed: Vec<String>, named: Vec<(String, String)>) -> Self {
        let arguments: Vec<String> = unnamed
            .iter()
            .cloned()
            .chain(named.iter().map(|(key, value)| format!("{key}={value}")))
            .collect();
        let text = match arguments.as_slice() {
            [] => name.to_string(),
            arguments => format!("{name}({})", arguments.join(", ")),
        };
        Self { text, inside: Inside::Arguments(WrittenCall { name: plain(name), unnamed, named }) }
    }

    /// A residual connection around layers.
    pub(crate) fn residual(layers: Vec<Self>) -> Self {
        Self {
            text: format!("residual({})", Self::text_of(&layers)),
            inside: Inside::Residual(layers),
        }
    }

    /// Branches side by side.
    pub(crate) fn branches(branches: Vec<Vec<Self>>) -> Self {
        let texts: Vec<String> =
            branches.iter().map(|branch| format!("({})", Self::text_of(branch))).collect();
        Self { text: format!("branches({})", texts.join(", ")), inside: Inside::Branches(branches) }
    }

    /// An ensemble of members with these layers, that share their weights.
    pub(crate) fn batch_ensemble(named: Vec<(String, String)>, layers: Vec<Self>) -> Self {
        let name = "batch_ensemble";
        let arguments: String =
            named.iter().map(|(key, value)| format!("{key}={value}, ")).collect();
        let text = format!("{name}({arguments}{})", Self::text_of(&layers));
        let written = WrittenCall { name: plain(name), unnamed: vec![], named };
        Self { text, inside: Inside::BatchEnsemble(written, layers) }
    }

    /// Returns the text of the layer.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text of layers, as [`Self::parse_all`] reads it.
    pub(crate) fn text_of(layers: &[Self]) -> String {
        layers.iter().map(|layer| layer.text.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Returns whether a part between commas is an argument, such as `32` or `mini=true`, and no layer.
fn is_argument(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        || key_and_value(part).is_some()
}

/// Refuses layers in layers in layers without end.
pub(super) fn check_depth(depth: usize) -> Result<(), String> {
    if depth > MOST_DEPTH { Err(too_much()) } else { Ok(()) }
}

fn too_much() -> String {
    format!(
        "more than {MOST_BYTES} bytes, or nested more than {MOST_DEPTH} deep; write fewer layers"
    )
}

/// Returns the problem of a stack without layers.
pub(super) fn no_layer() -> String {
    "no layer is given; write some, such as dense(64), relu, dense".into()
}
