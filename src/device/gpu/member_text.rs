//! A kernel's WGSL for several members at once: the same arithmetic, with the member as the third axis of the grid.
//!
//! In: the WGSL for one network. Out: WGSL in which each array begins at the member's part of the buffer, and the step
//! parameters are the member's. Only indices change, so a member's numbers are those of the network alone.
//! Absent on purpose: which members run; the host writes their numbers into the step parameters.

use std::fmt::Write as _;

use super::limits::STEP_BYTES;
use super::shader_files::shader_file;
use crate::plan::{Element, StorageTypes};

/// Bits of a step's place in the log; the bits above it are the member's number.
pub(super) const LOG_BITS: u32 = 16;
/// Rows of step parameters that one dispatch binds: at most 64 KiB, which nearly every adapter allows a uniform. So many members
/// can be in one dispatch.
pub(super) const MEMBER_ROWS: u32 = 682;
/// Bytes of these rows.
pub(super) const ROWS_BYTES: u64 = MEMBER_ROWS as u64 * STEP_BYTES;

const STEP_ROW: &str = shader_file!("step_row");

/// A storage array that a shader declares.
struct StorageArray<'a> {
    name: &'a str,
    /// Type of an element, as the text names it.
    element: &'a str,
}

impl StorageArray<'_> {
    /// Returns the bytes of an element.
    fn bytes(&self, stored: StorageTypes) -> u32 {
        let scalar = |name: &str| match name {
            "Read" if stored.read == Element::F16 => 2,
            "Write" if stored.write == Element::F16 => 2,
            "f16" => 2,
            _ => 4,
        };
        match self.element.strip_prefix("vec4<") {
            Some(rest) => 4 * scalar(rest.trim_end_matches('>')),
            None => scalar(self.element),
        }
    }
}

/// Returns the arrays that a text declares, in the order of their bindings: that of the text.
fn arrays(wgsl: &str) -> Vec<StorageArray<'_>> {
    let declared = wgsl.lines().filter_map(|line| {
        let (place, rest) = line.split_once("@binding(")?.1.split_once(") var<storage, ")?;
        let (name, ty) = rest.split_once('>')?.1.trim_start().split_once(": array<")?;
        let binding: u32 = place.parse().ok()?;
        Some((binding, StorageArray { name, element: ty.strip_suffix(">;")? }))
    });
    let mut arrays: Vec<_> = declared.collect();
    arrays.sort_by_key(|(binding, _)| *binding);
    arrays.into_iter().map(|(_, array)| array).collect()
}

/// Returns the text for several members. The host appends to `Params`, for each array in the order of the bindings, the
/// bytes between two members' parts, and the bytes of one part.
pub fn text_for_members(wgsl: &str, stored: StorageTypes) -> String {
    let arrays = arrays(wgsl);
    let mut text = wgsl.to_string();
    for StorageArray { name, .. } in &arrays {
        text = with_offset(&text, name);
    }
    for array in &arrays {
        let length = format!("params.member_bytes_{0} / {1}u", array.name, array.bytes(stored));
        text = text.replace(&format!("arrayLength(&{})", array.name), &format!("({length})"));
    }
    text = with_params(&text, &arrays);
    let sequence = text.contains("var<uniform> rows: array<Row, MAX_STEPS>;");
    text = if sequence { with_rows(&text) } else { with_step(&text) };
    with_beginning(&text, &arrays, stored, sequence)
}

/// Adds a member's offset to every index of an array.
fn with_offset(text: &str, name: &str) -> String {
    let mut result = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    let indexed = format!("{name}[");
    while let Some(at) = rest.find(&indexed) {
        let before = rest[..at].chars().next_back();
        // A longer name, or a field of this name, is another thing.
        let whole = !before.is_some_and(|it| it.is_alphanumeric() || it == '_' || it == '.');
        let inner = at + indexed.len();
        if !whole {
            result += &rest[..inner];
            rest = &rest[inner..];
            continue;
        }
        let end = inner + closing(&rest[inner..]);
        // Indices inside of this one have their own arrays, or this one again.
        let index = with_offset(&rest[inner..end], name);
        let _ = write!(result, "{}{indexed}at_{name} + ({index})]", &rest[..at]);
        rest = &rest[end + 1..];
    }
    result + rest
}

/// Returns the place of the bracket that closes one before the text.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Adds the members' fields to `Params`.
fn with_params(text: &str, arrays: &[StorageArray<'_>]) -> String {
    let mut fields = String::new();
    for StorageArray { name, .. } in arrays {
        let _ = writeln!(fields, "    member_stride_{name}: u32,\n    member_bytes_{name}: u32,");
    }
    let start = text.find("struct Params {").expect("each kernel has parameters");
    let end = start + text[start..].find("\n}").expect("a struct ends") + 1;
    format!("{}{fields}{}", &text[..end], &text[end..])
}

/// Makes the one row of step parameters a table with a row for each member.
fn with_step(text: &str) -> String {
    let rows = format!(
        "@group(0) @binding(0) var<uniform> member_rows: array<Step, {MEMBER_ROWS}u>;\n\
         var<private> step: Step;\n"
    );
    let one = "@group(0) @binding(0) var<uniform> step: Step;\n";
    if text.contains(one) {
        return text.replacen(one, &rows, 1);
    }
    // A kernel that needs no step parameters needs the member's number all the same.
    format!("{STEP_ROW}{rows}{text}")
}

/// Makes the table of a sequence's steps one with a row for each step and member.
fn with_rows(text: &str) -> String {
    let table = "@group(0) @binding(0) var<uniform> rows: array<Row, MAX_STEPS>;";
    let members = format!(
        "@group(0) @binding(0) var<uniform> member_rows: array<Step, {MEMBER_ROWS}u>;\n\
         var<private> member_place: u32;\nvar<private> member_count: u32;"
    );
    let row = "step = rows[index].step;";
    assert!(text.contains(row), "the sequence reads a step's row in one place");
    text.replacen(table, &members, 1).replacen(
        row,
        &format!(
            "step = member_rows[index * member_count + member_place];\n        \
             step.log = step.log & {}u;",
            (1 << LOG_BITS) - 1
        ),
        1,
    )
}

/// Sets the member's offsets and step parameters where `main` begins.
fn with_beginning(
    text: &str,
    arrays: &[StorageArray<'_>],
    stored: StorageTypes,
    sequence: bool,
) -> String {
    let main = text.find("fn main(").expect("each kernel has an entry point");
    let arguments = main + "fn main(".len();
    let body = main + text[main..].find(") {\n").expect("an entry point has a body") + 4;
    let head = &text[arguments..body - 4];
    // The builtin may be declared once only.
    let named = head.split("@builtin(workgroup_id) ").nth(1).and_then(|it| it.split(':').next());
    let (group, added) = match named {
        Some(name) => (name, ""),
        None => ("member_group", "@builtin(workgroup_id) member_group: vec3<u32>, "),
    };
    let mut first = String::new();
    if sequence {
        let counted = head.split("@builtin(num_workgroups) ").nth(1);
        let groups = counted.and_then(|it| it.split(':').next()).expect("a sequence counts");
        let _ = write!(
            first,
            "    member_place = {group}.z;\n    member_count = {groups}.z;\n    \
             let member = member_rows[{group}.z].log >> {LOG_BITS}u;\n"
        );
    } else {
        let _ = write!(
            first,
            "    step = member_rows[{group}.z];\n    let member = step.log >> {LOG_BITS}u;\n    \
             step.log = step.log & {}u;\n",
            (1 << LOG_BITS) - 1
        );
    }
    let mut offsets = String::new();
    for array in arrays {
        let (name, bytes) = (array.name, array.bytes(stored));
        let _ = writeln!(offsets, "var<private> at_{name}: u32;");
        let _ =
            writeln!(first, "    at_{name} = member * (params.member_stride_{name} / {bytes}u);");
    }
    // The functions above `main` read the offsets, and declarations may stand in any order.
    format!(
        "{}{added}{}{first}{}\n{offsets}",
        &text[..arguments],
        &text[arguments..body],
        &text[body..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_of_an_array_gets_the_members_offset() {
        let text = "let a = x[order[i] * n + x[2]] + max_x[3] + p.x[4];";
        let text = with_offset(&with_offset(text, "x"), "order");
        assert_eq!(
            text,
            "let a = x[at_x + (order[at_order + (i)] * n + x[at_x + (2)])] + max_x[3] + p.x[4];"
        );
    }

    #[test]
    fn elements_have_the_bytes_of_their_stored_types() {
        let text = "@group(0) @binding(2) var<storage, read> a: array<Read>;\n\
                    @group(0) @binding(3) var<storage, read_write> out: array<vec4<Write>>;\n\
                    @group(0) @binding(4) var<storage, read> y: array<vec4<u32>>;\n";
        let stored = StorageTypes { read: Element::F16, write: Element::F16 };
        let bytes: Vec<_> = arrays(text).iter().map(|it| (it.name, it.bytes(stored))).collect();
        assert_eq!(bytes, [("a", 2), ("out", 8), ("y", 16)]);
    }
}
