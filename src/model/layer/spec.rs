//! Layers as they are written, with values left open: `dense(64), relu, residual(dense(64), relu), dense`.
//!
//! In: a text, or the parts of one. Out: a list of [`LayerSpec`], from which [`super::LayerParser`] makes layers.
//! Absent on purpose: which layers there are, and what their arguments mean.

use super::VOCABULARY;
use crate::vocabulary::{WrittenCall, name_and_inner, parts, plain};

/// Longest text.
const MOST_BYTES: usize = 1 << 16;
/// Deepest nesting of layers in layers.
const MOST_DEPTH: usize = 16;

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
}

impl LayerSpec {
    /// Reads layers between commas.
    ///
    /// # Errors
    /// If commas or brackets are wrong, or the text is too long or too deep.
    pub(crate) fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        Self::at_depth(text, 0)
    }

    fn at_depth(text: &str, depth: usize) -> Result<Vec<Self>, String> {
        if text.len() > MOST_BYTES {
            return Err(too_much());
        }
        check_depth(depth)?;
        let items = parts(text)?;
        if items.is_empty() {
            return Err(format!("nothing stands at place 0 of \"{text}\""));
        }
        items.into_iter().map(|item| Self::parse(item, depth)).collect()
    }

    fn parse(item: &str, depth: usize) -> Result<Self, String> {
        let (name, inner) = match name_and_inner(item) {
            Ok(split) => split,
            Err(_) => return Err(format!("\"{item}\" does not end with ')'")),
        };
        let inside = match name.to_ascii_lowercase().as_str() {
            "residual" => Inside::Residual(Self::at_depth(inner, depth + 1)?),
            "branches" => {
                let branches = parts(inner)?.into_iter().map(|branch| {
                    let layers = branch.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
                    let layers = layers.ok_or_else(|| {
                        format!("\"{branch}\" in branches is no stack; write branches((dense(8), relu), (identity))")
                    })?;
                    Self::at_depth(layers, depth + 1)
                });
                Inside::Branches(branches.collect::<Result<_, String>>()?)
            }
            name => match WrittenCall::parse(item) {
                Ok(written) => Inside::Arguments(written),
                Err(problem) if VOCABULARY.iter().any(|it| plain(it.name) == plain(name)) => {
                    return Err(problem);
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

    /// Returns the text of the layer.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text of layers, as [`Self::parse_all`] reads it.
    pub(crate) fn text_of(layers: &[Self]) -> String {
        layers.iter().map(|layer| layer.text.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Refuses layers in layers in layers without end.
pub(super) fn check_depth(depth: usize) -> Result<(), String> {
    if depth > MOST_DEPTH { Err(too_much()) } else { Ok(()) }
}

fn too_much() -> String {
    format!("more than {MOST_BYTES} bytes, or nested more than {MOST_DEPTH} deep")
}
