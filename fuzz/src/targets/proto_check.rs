//! True if the bytes of an ONNX file are a sound graph, as far as names and sizes tell.

use std::collections::HashSet;

use prost::Message as _;

use proto::{Kind, Model};

#[path = "../../../src/export/onnx/proto.rs"]
#[allow(dead_code, reason = "the writer's own messages, of which only the reading is needed")]
mod proto;

/// Panics where a name is given twice or used before it is given, or a tensor is not as long as its sizes say.
pub fn check_export(bytes: &[u8]) {
    let model = Model::decode(bytes).expect("a message that can be read again");
    let graph = model.graph.expect("a graph");
    let mut known: HashSet<&str> = HashSet::new();
    let given = graph.input.iter().map(|it| &it.name);
    for name in given.chain(graph.initializer.iter().map(|it| &it.name)) {
        assert!(!name.is_empty() && known.insert(name), "{name} twice");
    }
    for tensor in &graph.initializer {
        let sizes = tensor.dims.iter().map(|&size| usize::try_from(size).expect("a size"));
        let count: usize = sizes.product();
        let size = match tensor.data_type {
            Some(kind) if kind == Kind::Text.number() => None,
            Some(kind) if kind == Kind::Bool.number() => Some(1),
            Some(kind) if kind == Kind::Float.number() => Some(4),
            _ => Some(8),
        };
        let held: usize = match (size, &tensor.raw_data) {
            (Some(size), Some(bytes)) if bytes.len().is_multiple_of(size) => bytes.len() / size,
            (None, None) => tensor.string_data.len(),
            _ => panic!("{} has no values of its kind", tensor.name),
        };
        assert_eq!(held, count, "{}", tensor.name);
    }
    let mut nodes: HashSet<&str> = HashSet::new();
    for node in &graph.node {
        assert!(nodes.insert(&node.name), "two nodes {}", node.name);
        assert!(node.input.iter().all(|name| known.contains(name.as_str())), "{}", node.name);
        assert!(node.output.iter().all(|name| known.insert(name)), "{}", node.name);
    }
    assert!(!graph.output.is_empty());
    assert!(graph.output.iter().all(|it| known.contains(it.name.as_str())));
}
