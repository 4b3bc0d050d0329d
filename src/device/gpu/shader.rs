//! A kernel's WGSL: the constants and storage types in front, then the row's files as they are.

use std::fmt::Write as _;

use super::codes::{
    CLASS_LOSSES, FUSIONS, activation_of, class_loss, dropout_of, fused, number, short,
};
use super::kernels::{KernelSpec, Variant};
use super::shader_files::shader_file;
use crate::expr::{Number, StepValue};
use crate::graph::UpdateInput;
use crate::model::Activation;
use crate::plan::{
    Broadcast, Chain, ChainKind, Element, Formula, Kernel, Link, LinkResult, StorageTypes, Update,
};

/// Returns the constants that a kernel's fusions set in its shader. Products of a variant whose fusions are uniforms take
/// `usual`, the plan's activation, if they have none of their own: so all of them share one pipeline.
pub fn consts(kernel: &Kernel, variant: &Variant, usual: Activation) -> Vec<(&'static str, u32)> {
    let mut consts = if kernel.is_product() {
        product_consts(kernel, variant, usual)
    } else {
        kernel.declaration().constants()
    };
    if let Kernel::LossClasses { loss, .. } = *kernel {
        consts.extend(CLASS_LOSSES);
        consts.push(("KIND", class_loss(loss).0));
    }
    consts
}

/// Returns the constants of a product: the bits of all fusions, and which of them are on unless a uniform says so.
fn product_consts(
    kernel: &Kernel,
    variant: &Variant,
    usual: Activation,
) -> Vec<(&'static str, u32)> {
    // With one pipeline for all products, the fusions come in a uniform and the constant stays 0.
    let (act, fused) = match (variant.one_pipeline, activation_of(kernel)) {
        (false, act) => (act, fused(kernel)),
        (true, Activation::Identity) => (usual, 0),
        (true, act) => (act, 0),
    };
    let dropout = dropout_of(kernel).is_some();
    let mut consts = FUSIONS.to_vec();
    consts.extend([
        ("ACT", number(act)),
        ("SHORT_ACT", short(act, dropout)),
        ("FUSED", fused),
        ("ONE_PIPELINE", u32::from(variant.one_pipeline)),
        ("DROPOUT", u32::from(dropout)),
    ]);
    consts
}

/// Returns the function `loss_of` that an elementwise loss's shader calls.
pub(super) fn loss_text(formula: &Formula) -> String {
    let names = ["p", "y", "c", "raw"];
    let input = |index: u8| (*names.get(usize::from(index)).unwrap_or(&"0.0")).to_string();
    let (statements, results) = formula.program.wgsl(input, step_value);
    // The struct has two derivatives; a loss of one prediction leaves the second one 0.
    let result = |index: usize| results.get(index).map_or("0.0", String::as_str);
    format!(
        "struct Loss {{\n    value: f32,\n    slope: f32,\n    slope2: f32,\n}}\n\
         fn loss_of(p: f32, y: f32, c: f32, raw: f32) -> Loss {{\n{statements}    \
         return Loss({}, {}, {});\n}}\n",
        result(0),
        result(1),
        result(2)
    )
}

const HALF: &str = shader_file!("half");
const READ_F32: &str = shader_file!("read_f32");
const READ_F16: &str = shader_file!("read_f16");
const WRITE_F32: &str = shader_file!("write_f32");
const WRITE_F16: &str = shader_file!("write_f16");

/// All files of storage types.
pub(super) const PRECISIONS: [&str; 5] = [HALF, READ_F32, READ_F16, WRITE_F32, WRITE_F16];

/// Returns the files that define the storage types of a kernel.
fn kept(variant: &Variant, stored: StorageTypes) -> [&'static str; 4] {
    [
        if stored.half() { HALF } else { "" },
        variant.cooperative.map_or("", |shape| shape.source),
        if stored.read == Element::F16 { READ_F16 } else { READ_F32 },
        if stored.write == Element::F16 { WRITE_F16 } else { WRITE_F32 },
    ]
}

/// Returns the function `formula` of a kernel that names one, or that of an elementwise loss, in WGSL, with the bindings that
/// the kernel's files do not declare; nothing for others. `reads` and `writes` are the element types of the slots that it
/// reads and writes.
pub fn generated(
    kernel: &Kernel,
    formulas: &[Formula],
    [reads, writes]: [&[Element]; 2],
) -> String {
    let Some(formula) = kernel.formula().and_then(|id| formulas.get(usize::from(id.0))) else {
        return String::new();
    };
    match kernel {
        Kernel::LossMap { .. } => return format!("alias V = f32;\n{}", loss_text(formula)),
        Kernel::Update(update) => return generated_update(*update, formula),
        Kernel::Chain(chain) => return generated_chain(chain, formulas, [reads, writes]),
        _ => {}
    }
    let input = |index: u8| format!("load{index}(row, column)");
    let (body, out) = formula.program.wgsl(input, step_value);
    format!(
        "{}fn formula(row: u32, column: u32) -> f32 {{\n{body}    return {};\n}}\n",
        operands(formula, reads),
        out[0]
    )
}

/// Returns the bindings of a formula's operands and of its result, and the functions that read an operand's element.
fn operands(formula: &Formula, reads: &[Element]) -> String {
    let mut wgsl = String::new();
    for (index, (operand, element)) in formula.operands.iter().zip(reads).enumerate() {
        let (binding, ty) = (2 + index, if *element == Element::F16 { "f16" } else { "f32" });
        let _ = writeln!(
            wgsl,
            "@group(0) @binding({binding}) var<storage, read> x{index}: array<{ty}>;\n\
             fn load{index}(row: u32, column: u32) -> f32 {{"
        );
        let along = matches!(operand.along, Broadcast::Both | Broadcast::Columns);
        if along && (operand.shift != 0 || operand.width != formula.columns) {
            // Columns left of the operand's first wrap round to far beyond its last.
            let _ = writeln!(
                wgsl,
                "    let at = column - params.shift{index};\n    \
                 if at >= params.width{index} {{\n        return 0.0;\n    }}"
            );
        } else {
            wgsl += "    let at = column;\n";
        }
        let _ = writeln!(
            wgsl,
            "    return f32(x{index}[row * params.rows{index} + at * params.columns{index}]);\n}}"
        );
    }
    let binding = 2 + formula.operands.len();
    let _ =
        writeln!(wgsl, "@group(0) @binding({binding}) var<storage, read_write> out: array<Write>;");
    wgsl
}

/// Returns the bindings of a chain's slots, its formulas as functions of an element's row and column, and the functions that
/// compute or store the element of one of them.
fn generated_chain(
    chain: &Chain,
    formulas: &[Formula],
    [reads, writes]: [&[Element]; 2],
) -> String {
    let (mut wgsl, mut binding) = (String::new(), 2);
    let mut bind = |wgsl: &mut String, access: &str, name: String, element: Element| {
        let ty = if element == Element::F16 { "f16" } else { "f32" };
        let _ = writeln!(
            wgsl,
            "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{ty}>;"
        );
        binding += 1;
    };
    for (index, element) in reads.iter().enumerate().take(chain.reads.into()) {
        bind(&mut wgsl, "read", format!("x{index}"), *element);
    }
    let (mut compute, mut store) = (String::new(), String::new());
    for ((index, link), element) in chain.links().enumerate().zip(writes) {
        let (body, out) = link_text(chain, &link, &formulas[link.formula.index()]);
        let _ = writeln!(
            wgsl,
            "fn formula{index}(row: u32, column: u32) -> f32 {{\n{body}    return {out};\n}}"
        );
        let _ =
            writeln!(compute, "        case {index}u: {{ return formula{index}(row, column); }}");
        let stored = if *element == Element::F16 { "stored(value)" } else { "value" };
        let mut put = String::new();
        if chain.binds(&link) {
            bind(&mut wgsl, "read_write", format!("y{index}"), *element);
            put = format!("y{index}[at] = {stored}; ");
        }
        let _ = writeln!(store, "        case {index}u: {{ {put}return f32({stored}); }}");
    }
    wgsl + &format!(
        "fn formula(link: u32, row: u32, column: u32) -> f32 {{\n    switch link {{\n{compute}        \
         default: {{ return 0.0; }}\n    }}\n}}\n\
         fn store(link: u32, at: u32, value: f32) -> f32 {{\n    switch link {{\n{store}        \
         default: {{ return value; }}\n    }}\n}}\n"
    )
}

/// Returns the statements of a chain's formula, and the name of its value.
fn link_text(chain: &Chain, link: &Link, formula: &Formula) -> (String, String) {
    let arguments: Vec<usize> = link.arguments().collect();
    let results: Vec<LinkResult> = chain.links().map(|link| link.result).collect();
    let input = |index: u8| {
        let index = usize::from(index);
        let at = match formula.operands[index].along {
            Broadcast::Both => "row * params.n + column",
            Broadcast::Columns => "column",
            Broadcast::Rows => "row",
            Broadcast::Nothing => "0u",
        };
        match arguments[index].checked_sub(chain.reads.into()) {
            None => format!("f32(x{}[{at}])", arguments[index]),
            // Another lane has stored a row's sum; all lanes find it in the workgroup's memory.
            Some(result)
                if chain.kind == ChainKind::Columns && results[result] != LinkResult::Elements =>
            {
                format!("sums[{result}]")
            }
            Some(result) => format!("f32(y{result}[{at}])"),
        }
    };
    let (body, out) = formula.program.wgsl(input, step_value);
    (body, out[0].clone())
}

/// Returns the function of the kernel `update`.
fn generated_update(update: Update, formula: &Formula) -> String {
    let input = |index: u8| match UpdateInput::of(index) {
        UpdateInput::Weight => "weight[at]".to_string(),
        UpdateInput::Gradient => "gradient[at]".to_string(),
        UpdateInput::State(state) => format!("state{state}[at]"),
        UpdateInput::Gathered => "gathered[at]".to_string(),
        UpdateInput::Average => "average[at]".to_string(),
        UpdateInput::Rate => "V(row.x)".to_string(),
        UpdateInput::Decay => "V(row.y)".to_string(),
        UpdateInput::Trust => "V(row.z)".to_string(),
        UpdateInput::Matrix => "V(row.w)".to_string(),
        UpdateInput::Clip => "V(factors[0].x)".to_string(),
        UpdateInput::Inverse => "V(scaling[INVERSE])".to_string(),
    };
    let (body, out) = formula.program.wgsl(input, step_value);
    let mut out = out.into_iter();
    // The results have fixed fields; a field that this pass does not compute is zero.
    let mut result = |there: bool| {
        let name = if there { out.next() } else { None };
        name.unwrap_or_else(|| "V()".to_string())
    };
    // The order of the results is the one in which `UpdateTransforms::passes` lists its expressions.
    let states = update.changed_states();
    let mut results = vec![result(update.writes_weight())];
    results.extend((0..3).map(|state| result(state < states)));
    results.extend([result(update.averages), result(update.gathers)]);
    let results = results.join(", ");
    format!(
        "{}{}fn formula(at: u32, row: V) -> Results {{\n{body}    return Results({results});\n}}\n",
        update_bindings(update),
        update_accesses(update)
    )
}

/// Returns the bindings of the kernel `update`: those of the arenas and tables that this pass has, and no others, since an
/// adapter may allow no more than eight.
fn update_bindings(update: Update) -> String {
    let [reads, writes] = Kernel::Update(update).declaration().bound();
    let reads = reads.iter().map(|it| (it.name, "read"));
    let all = reads.chain(writes.iter().map(|it| (it.name, "read_write")));
    let mut wgsl = String::new();
    for (binding, (name, access)) in (2..).zip(all) {
        let element = match name {
            "scaling" => "f32",
            "half_weight" => "vec4<Write>",
            _ => "vec4<f32>",
        };
        let _ = writeln!(
            wgsl,
            "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{element}>;"
        );
    }
    wgsl
}

/// Returns the functions of the kernel `update` that read and write what not every pass has.
fn update_accesses(update: Update) -> String {
    let skips = if update.reads_scaling() { "scaling[OVERFLOW] != 0.0" } else { "false" };
    let row = if update.table { "factors[1u + params.first + at / 16u]" } else { "V(1.0)" };
    let gather = if update.gathers { "    gathered[at] = value;\n" } else { "" };
    let mut store = String::new();
    if update.writes_weight() {
        store += "    weight[at] = after.weight;\n";
    }
    for state in 0..update.changed_states() {
        let _ = writeln!(store, "    state{state}[at] = after.state{state};");
    }
    if update.averages {
        store += "    average[at] = after.average;\n";
    }
    if update.half {
        store += "    let w = weight[at];\n    half_weight[at] = vec4(stored(w.x), stored(w.y), stored(w.z), stored(w.w));\n";
    }
    format!(
        "fn is_skipped() -> bool {{\n    return {skips};\n}}\n\
         fn factors_of(at: u32) -> V {{\n    return {row};\n}}\n\
         fn gather(at: u32, value: V) {{\n{gather}}}\n\
         fn store(at: u32, after: Results) {{\n{store}}}\n"
    )
}

/// Returns the WGSL for a step value, in a function of `row` and `column`.
pub(super) fn step_value(quantity: StepValue) -> String {
    match quantity {
        StepValue::Rows => "step.rows".to_string(),
        StepValue::Counts => "select(0.0, 1.0, row < step.rows)".to_string(),
        StepValue::Keep(stream, Number(rate)) => {
            format!(
                "keep({stream}u, {:?}f, (row + step.batch_row) * params.n + column)",
                rate as f32
            )
        }
        StepValue::Scalar(index) => format!("step.s{index}"),
        StepValue::Loss(index) => format!("step.loss{index}"),
    }
}

/// Returns the functions `activate` and `activation_gradient` that products call, from an activation's expression; with a suffix
/// of their names, where a shader has several.
pub(super) fn activation_text(act: Activation, suffix: &str) -> String {
    let mut wgsl = String::new();
    let value = ("activate", "x", act.value_program());
    // dy/dx of y, or of x, whichever the forward pass saves.
    let slope = ("activation_gradient", "saved", act.slope_program());
    for (name, argument, program) in [value, slope] {
        let (body, out) = program.wgsl(|_| argument.to_string(), |_| "0.0".to_string());
        let body = body.replace("V(", "f32(");
        let _ = writeln!(
            wgsl,
            "fn {name}{suffix}({argument}: f32) -> f32 {{\n{body}    return {};\n}}",
            out[0]
        );
    }
    wgsl
}

/// Returns the WGSL of one variant with these constants, this text from the host, and these storage types.
pub fn assemble(
    spec: &KernelSpec,
    variant: &Variant,
    stored: StorageTypes,
    consts: &[(&str, u32)],
    generated: &str,
) -> String {
    // Types and constants stand in front, since the files that follow use them.
    let mut wgsl = kept(variant, stored).concat();
    for (name, value) in variant.consts.iter().chain(consts) {
        let _ = writeln!(wgsl, "const {name}: u32 = {value}u;");
    }
    if let Some((_, act)) = consts.iter().find(|(name, _)| *name == "ACT") {
        wgsl += &activation_text(Activation::ALL[*act as usize], "");
    }
    wgsl += generated;
    for part in spec.source.iter().chain(variant.source) {
        wgsl += part;
    }
    wgsl
}
