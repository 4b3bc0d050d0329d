//! Every kernel with every fusion and variant: its WGSL parses, validates and translates to SPIR-V, MSL and
//! HLSL, and declares what its row of the table says. Needs no GPU.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use naga::back::{hlsl, msl, spv};
use naga::valid::{
    Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator,
};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};
use wgrad::device::gpu::{KERNELS, SEQUENCE_BINDINGS, assemble, consts};
use wgrad::device::verify::{ShaderText, every_kernel, shader_texts};
use wgrad::model::Activation;
use wgrad::plan::{Argument, Kernel, LossScaler, StorageTypes};

/// The names of what a kernel reads and writes, in any form.
fn declared(kernel: &Kernel) -> [Vec<&'static str>; 2] {
    let names = |arguments: Vec<Argument>| arguments.iter().map(|it| it.name).collect();
    kernel.declaration().bound().map(names)
}

/// Returns the arguments that a text must read and write.
fn arguments(text: &ShaderText) -> [Vec<&'static str>; 2] {
    match &text.kernel {
        Some(kernel) => declared(kernel),
        None => SEQUENCE_BINDINGS.map(<[_]>::to_vec),
    }
}

/// Returns the parsed module of a text, and what validation found.
fn validated(text: &ShaderText, wgsl: &str) -> (Module, ModuleInfo) {
    let ShaderText { variant, stored, label, .. } = text;
    let module = naga::front::wgsl::parse_str(wgsl)
        .unwrap_or_else(|error| panic!("{label}: {}", error.emit_to_string(wgsl)));
    // No capability beyond plain WebGPU is asked for, except by forms that say so.
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SUBGROUP, variant.subgroup.is_some());
    capabilities.set(Capabilities::SHADER_FLOAT16, stored.half());
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, variant.cooperative.is_some());
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.subgroup_stages(ShaderStages::COMPUTE);
    validator.subgroup_operations(SubgroupOperationSet::all());
    let info = validator
        .validate(&module)
        .unwrap_or_else(|error| panic!("{label}: {}", error.emit_to_string(wgsl)));
    (module, info)
}

/// Calls `each` with a text, the parsed module and what validation found, for all there is.
fn for_each_shader(mut each: impl FnMut(&ShaderText, &Module, &ModuleInfo)) {
    for text in shader_texts().unwrap() {
        let (module, info) = validated(&text, &text.wgsl);
        each(&text, &module, &info);
    }
}

#[test]
fn texts_for_members_are_valid() {
    let mut count = 0;
    for text in shader_texts().unwrap() {
        let [_, (label, wgsl)] = text.for_adapter();
        validated(&text, &wgsl);
        assert!(label.ends_with("for members") && wgsl != text.wgsl, "{label}");
        count += 1;
    }
    assert!(count > 150, "only {count} texts");
}

#[test]
fn every_row_of_the_table_is_reached() {
    let mut seen: Vec<&str> = every_kernel().iter().map(|kernel| kernel.name()).collect();
    seen.sort_unstable();
    seen.dedup();
    let mut rows: Vec<&str> = KERNELS.iter().map(|spec| spec.name).collect();
    rows.sort_unstable();
    assert_eq!(seen, rows);
}

#[test]
fn every_declaration_is_verified() {
    // The names of the source, since a kernel that no list has is missing in none.
    let source = std::fs::read_to_string("src/plan/kernel.rs").unwrap();
    let declared = source.split("Declaration::of(\"").skip(1);
    let mut declared: Vec<&str> = declared.map(|rest| rest.split('"').next().unwrap()).collect();
    declared.sort_unstable();
    declared.dedup();
    let mut verified: Vec<&str> = every_kernel().iter().map(|kernel| kernel.name()).collect();
    verified.sort_unstable();
    verified.dedup();
    assert_eq!(declared, verified, "each kernel has cases beside its function on the CPU");
}

#[test]
fn shaders_translate_to_all_targets() {
    let mut count = 0;
    for_each_shader(|ShaderText { label, wgsl, .. }, module, info| {
        let entry = spv::PipelineOptions {
            shader_stage: naga::ShaderStage::Compute,
            entry_point: "main".into(),
        };
        let words = spv::write_vec(module, info, &spv::Options::default(), Some(&entry));
        assert!(words.unwrap_or_else(|error| panic!("{label} to SPIR-V: {error}")).len() > 100);

        let options = msl::Options {
            lang_version: (2, 4),
            fake_missing_bindings: true,
            ..Default::default()
        };
        let text = msl::write_string(module, info, &options, &msl::PipelineOptions::default());
        let (text, _) = text.unwrap_or_else(|error| panic!("{label} to MSL: {error}"));
        assert!(text.contains("kernel void"), "{label}");

        count += 1;
        // HLSL has no cooperative matrices, so no device of its kind lists any.
        if wgsl.contains("enable wgpu_cooperative_matrix;") {
            return;
        }
        let mut text = String::new();
        // Half precision needs 6.2; nothing else does.
        let half = wgsl.contains("enable f16;");
        let shader_model = if half { hlsl::ShaderModel::V6_2 } else { hlsl::ShaderModel::V6_0 };
        let options =
            hlsl::Options { shader_model, fake_missing_bindings: true, ..Default::default() };
        let pipeline = hlsl::PipelineOptions::default();
        if let Err(error) =
            hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None)
        {
            panic!("{label} to HLSL: {error}");
        }
        assert!(text.contains("numthreads"), "{label}");
    });
    assert!(count > 150, "only {count} shaders");
}

/// Group 0's bindings in order: name, and whether a storage binding may be written.
fn bindings_of(module: &Module) -> Vec<(String, Option<bool>)> {
    let mut found: Vec<(u32, String, Option<bool>)> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let binding = variable.binding.as_ref()?;
            assert_eq!(binding.group, 0);
            let access = match variable.space {
                AddressSpace::Storage { access } => Some(access.contains(StorageAccess::STORE)),
                _ => None,
            };
            Some((binding.binding, variable.name.clone().unwrap_or_default(), access))
        })
        .collect();
    found.sort();
    assert!(
        found.iter().enumerate().all(|(index, (binding, ..))| index == *binding as usize),
        "{found:?}"
    );
    found.into_iter().map(|(_, name, access)| (name, access)).collect()
}

/// The fields of a structure: name and byte offset.
fn fields_of(module: &Module, name: &str) -> Vec<(String, u32)> {
    let found = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name));
    match &found.unwrap_or_else(|| panic!("no structure {name}")).1.inner {
        TypeInner::Struct { members, .. } => members
            .iter()
            .map(|member| (member.name.clone().unwrap_or_default(), member.offset))
            .collect(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn table_matches_shaders() {
    for_each_shader(|text, module, _| {
        let ShaderText { spec, label, .. } = text;
        // A sequence binds many steps' rows, and its one parameter is the table of operations.
        let many = spec.name == "sequence";
        let uniforms = [if many { "rows" } else { "step" }, "params"];
        let uniforms = uniforms.map(|name| (name.to_string(), None));
        let [reads, writes] = arguments(text);
        let reads = reads.iter().map(|name| ((*name).to_string(), Some(false)));
        let writes = writes.iter().map(|name| ((*name).to_string(), Some(true)));
        let wanted: Vec<_> = uniforms.into_iter().chain(reads).chain(writes).collect();
        assert_eq!(bindings_of(module), wanted, "{label}");
        let wanted: Vec<_> =
            (0..).zip(spec.params).map(|(i, name)| ((*name).to_string(), 4 * i)).collect();
        assert_eq!(fields_of(module, "Params"), wanted, "{label}");
        let step = [
            "first",
            "rows",
            "log",
            "step",
            "seed",
            "apply",
            "dropout",
            "divisor",
            "s0",
            "s1",
            "s2",
            "s3",
            "s4",
            "s5",
            "s6",
            "s7",
            "s8",
            "s9",
            "s10",
            "s11",
            "s12",
            "loss0",
            "loss1",
            "batch_row",
        ];
        let wanted: Vec<_> =
            (0..).step_by(4).zip(step).map(|(at, name)| (name.to_string(), at)).collect();
        assert_eq!(fields_of(module, "Step"), wanted, "{label}");
    });
}

#[test]
fn workgroups_keep_to_the_smallest_limits() {
    // 256 invocations and 16 KiB of workgroup memory are what every WebGPU adapter has.
    for_each_shader(|ShaderText { label, .. }, module, _| {
        let [x, y, z] = module.entry_points[0].workgroup_size;
        assert!(x * y * z <= 256, "{label}: {x} x {y} x {z}");
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let shared =
            module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, v)| layouter[v.ty].size).sum();
        assert!(bytes <= 16 << 10, "{label}: {bytes} bytes of workgroup memory");
    });
}

#[test]
fn a_wrong_row_would_be_seen() {
    // The comparison itself can fail: another kernel's shader does not match this one's row.
    let log = KERNELS.iter().find(|spec| spec.name == "log_loss").unwrap();
    let module =
        naga::front::wgsl::parse_str(&assemble(log, &log.variants[0], StorageTypes::F32, &[], ""))
            .unwrap();
    let names: Vec<_> = bindings_of(&module).into_iter().map(|(name, _)| name).collect();
    assert_ne!(names[2..], declared(&Kernel::PutRows).concat());
}

#[test]
fn places_in_the_slot_of_the_loss_scale_are_those_of_the_plan() {
    let spec = KERNELS.iter().find(|spec| spec.name == "rescale").unwrap();
    let variant = &spec.variants[0];
    let rescale = Kernel::Rescale { scaled: true, guarded: true };
    let consts = consts(&rescale, variant, Activation::Relu);
    let wgsl = assemble(spec, variant, StorageTypes::F32, &consts, "");
    let module = naga::front::wgsl::parse_str(&wgsl).unwrap();
    let place = |name: &str| {
        let found = module.constants.iter().find(|(_, it)| it.name.as_deref() == Some(name));
        match module.global_expressions[found.unwrap().1.init] {
            naga::Expression::Literal(naga::Literal::U32(place)) => place as usize,
            ref other => panic!("{name} is {other:?}"),
        }
    };
    let numbers = LossScaler { scale: 1.0, inverse: 2.0, good: 3.0, overflow: 4.0, skipped: 5.0 };
    let names = ["SCALE", "INVERSE", "GOOD", "OVERFLOW", "SKIPPED"];
    assert_eq!(names.map(|name| numbers.values()[place(name)]), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(LossScaler::of(numbers.values()), numbers);
}

/// Returns the variables of inner blocks that are declared without a value.
fn without_value(wgsl: &str) -> Vec<&str> {
    let (mut depth, mut found) = (0, Vec::new());
    for line in wgsl.lines() {
        let code = line.split("//").next().unwrap_or_default();
        let text = code.trim();
        if depth > 1 && text.starts_with("var ") && !text.contains('=') {
            found.push(text);
        }
        depth += code.matches('{').count();
        depth -= code.matches('}').count();
    }
    found
}

#[test]
fn variables_of_loops_have_a_value() {
    // Chromium's compiler gives a variable of a loop its zero in the first turn only.
    for_each_shader(|ShaderText { label, wgsl, .. }, _, _| {
        assert_eq!(without_value(wgsl), [""; 0], "{label}");
    });
    let wrong = "fn f() {\n    var a: f32;\n    loop {\n        var b: f32;\n        var c = 0.0;\n    }\n}\n";
    assert_eq!(without_value(wrong), ["var b: f32;"]);
}
