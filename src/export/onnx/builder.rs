//! A graph of ONNX nodes that grows one node at a time.
//!
//! Absent on purpose: networks, and the meaning of operators.

use std::collections::{HashMap, HashSet};

use super::proto::{Attribute, Kind, OnnxGraph, OnnxNode, Tensor, ValueInfo, size};

/// Domain of the operators that look texts up.
pub(super) const ML_DOMAIN: &str = "ai.onnx.ml";

/// Nodes and constants so far. Values are identified by names, each of which is given once.
#[derive(Debug, Default)]
pub(super) struct NodeBuilder {
    nodes: Vec<OnnxNode>,
    tensors: Vec<Tensor>,
    names: HashSet<String>,
    /// Small constants, so that each is written once.
    constants: HashMap<(Kind, Vec<i64>, Vec<u8>), String>,
    /// Prefix of the nodes' names.
    place: String,
}

impl NodeBuilder {
    /// Sets the prefix of later nodes' names, such as a layer's name.
    pub(super) fn at(&mut self, place: &str) {
        place.clone_into(&mut self.place);
    }

    /// Reserves names for values that are defined later.
    pub(super) fn reserve(&mut self, names: &[&str]) {
        self.names.extend(names.iter().map(ToString::to_string));
    }

    /// Returns a name like this one that no value has yet.
    fn name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        for number in 2_u64.. {
            if self.names.insert(name.clone()) {
                break;
            }
            name = format!("{wanted}_{number}");
        }
        name
    }

    /// Appends a node. Returns the name of its result.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = self.name(&format!("{}/{}", self.place, op));
        self.push(op, inputs, attributes, output.clone());
        output
    }

    /// Appends a node whose result has a given or reserved name.
    pub(super) fn push(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: Vec<Attribute>,
        output: String,
    ) {
        self.nodes.push(OnnxNode {
            input: inputs.iter().map(ToString::to_string).collect(),
            name: output.clone(),
            output: vec![output],
            op_type: op.into(),
            attribute,
            domain: String::new(),
        });
    }

    /// Appends a look-up of texts: their numbers, and `other` for any other text. Returns the name of its result.
    pub(super) fn look_up(&mut self, input: &str, pairs: &[(&str, i64)], other: i64) -> String {
        let keys = Attribute::texts("keys_strings", pairs.iter().map(|it| it.0));
        let values: Vec<i64> = pairs.iter().map(|it| it.1).collect();
        let values = Attribute::ints("values_int64s", &values);
        let output = self.node(
            "LabelEncoder",
            &[input],
            vec![keys, values, Attribute::int("default_int64", other)],
        );
        if let Some(node) = self.nodes.last_mut() {
            ML_DOMAIN.clone_into(&mut node.domain);
        }
        output
    }

    /// Returns the name of one f32 that is broadcast to every element.
    pub(super) fn scalar(&mut self, value: f64) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "networks compute in f32")]
        let bytes = (value as f32).to_le_bytes().to_vec();
        self.constant("number", Kind::Float, vec![], bytes)
    }

    /// Returns the name of a list of indices or sizes.
    pub(super) fn integers(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant("sizes", Kind::Int64, vec![size(values.len())], bytes)
    }

    /// Returns the name of one index.
    pub(super) fn integer(&mut self, value: i64) -> String {
        self.constant("size", Kind::Int64, vec![], value.to_le_bytes().to_vec())
    }

    /// Returns the name of a vector of f64.
    pub(super) fn doubles(&mut self, name: &str, values: &[f64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, Kind::Double, vec![size(values.len())], bytes)
    }

    /// Returns the name of a vector of booleans.
    pub(super) fn flags(&mut self, name: &str, values: &[bool]) -> String {
        let bytes = values.iter().map(|&value| u8::from(value)).collect();
        self.constant(name, Kind::Bool, vec![size(values.len())], bytes)
    }

    /// Returns the name of a constant, which is written once however often it is used.
    fn constant(&mut self, name: &str, kind: Kind, dims: Vec<i64>, bytes: Vec<u8>) -> String {
        let key = (kind, dims, bytes);
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let name = self.name(name);
        self.constants.insert(key.clone(), name.clone());
        let (kind, dims, bytes) = key;
        self.tensors.push(Tensor {
            dims,
            data_type: Some(kind.number()),
            string_data: vec![],
            name: name.clone(),
            raw_data: Some(bytes),
        });
        name
    }

    /// Returns the name of a tensor of weights.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let name = self.name(name);
        self.tensors.push(Tensor {
            dims: shape.iter().map(|&it| size(it)).collect(),
            data_type: Some(Kind::Float.number()),
            string_data: vec![],
            name: name.clone(),
            raw_data: Some(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        });
        name
    }

    /// Returns the name of a list of texts.
    pub(super) fn texts(&mut self, name: &str, texts: &[String]) -> String {
        let name = self.name(name);
        self.tensors.push(Tensor {
            dims: vec![size(texts.len())],
            data_type: Some(Kind::Text.number()),
            string_data: texts.iter().map(|text| text.as_bytes().to_vec()).collect(),
            name: name.clone(),
            raw_data: None,
        });
        name
    }

    /// Returns the whole graph.
    pub(super) fn graph(
        self,
        name: &str,
        input: Vec<ValueInfo>,
        output: Vec<ValueInfo>,
    ) -> OnnxGraph {
        OnnxGraph { node: self.nodes, name: name.into(), initializer: self.tensors, input, output }
    }
}
