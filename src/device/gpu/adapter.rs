//! The adapters of this machine, their features and limits, and the choice of one.

use wgpu::{Backends, DeviceType, InstanceDescriptor, InstanceFlags};

use crate::device::{DeviceInfo, DeviceKind, SOFTWARE};
use crate::error::{Error, Result};
use crate::host::waiting::{SUSPENDS, block_on};

/// Description of an adapter, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterReport {
    /// Name, kind, back end, driver.
    pub info: DeviceInfo,
    /// Features of use to this crate that it has.
    pub features: Vec<String>,
    /// Limits that decide what fits, by WebGPU's names.
    pub limits: Vec<(String, u64)>,
    /// True if `--device auto` chooses the adapter.
    pub auto: bool,
}

/// Returns all adapters: those of Vulkan, Metal and DX12, or those of GL if there are no others.
pub(super) fn enumerate() -> Vec<wgpu::Adapter> {
    if SUSPENDS {
        return of_browser();
    }
    let native = Backends::VULKAN | Backends::METAL | Backends::DX12;
    let found = of_backends(native);
    // GL has other limits, and opening it makes EGL write to stderr: it is tried only if nothing else answers.
    if found.is_empty() { of_backends(Backends::GL) } else { found }
}

/// Returns the adapter that a page gets, of which there is one at most: the browser chooses, and tells no others.
fn of_browser() -> Vec<wgpu::Adapter> {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::BROWSER_WEBGPU;
    let instance = wgpu::Instance::new(descriptor);
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    block_on(instance.request_adapter(&options)).into_iter().collect()
}

fn of_backends(backends: Backends) -> Vec<wgpu::Adapter> {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    // Drivers' own validation is for developers, who switch it on with WGPU_VALIDATION=1.
    descriptor.flags = InstanceFlags::empty().with_env();
    let instance = wgpu::Instance::new(descriptor);
    block_on(instance.enumerate_adapters(backends))
}

/// Returns the description of an adapter.
pub(super) fn describe(adapter: &wgpu::Adapter) -> DeviceInfo {
    let info = adapter.get_info();
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => SOFTWARE,
        DeviceType::Other => "other adapter",
    };
    let driver = format!("{} {}", info.driver, info.driver_info).trim().to_string();
    // Browsers hold the name back.
    let name = match info.device_type {
        _ if !info.name.is_empty() => info.name,
        DeviceType::Cpu => "software adapter of the browser".to_string(),
        _ => "adapter of the browser".to_string(),
    };
    DeviceInfo { name, kind: kind.to_string(), backend: format!("{:?}", info.backend), driver }
}

/// Returns the rank of a device type in the order of preference; `None` for a type that must be asked for.
fn rank(device_type: DeviceType) -> Option<u32> {
    match device_type {
        DeviceType::DiscreteGpu => Some(0),
        DeviceType::IntegratedGpu => Some(1),
        DeviceType::VirtualGpu => Some(2),
        DeviceType::Other => Some(3),
        DeviceType::Cpu => None,
    }
}

/// Returns the property that an adapter lacks to run the kernels, if any.
fn lack(adapter: &wgpu::Adapter) -> Option<String> {
    let flags = adapter.get_downlevel_capabilities().flags;
    if !flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
        return Some("it has no compute shaders".to_string());
    }
    let limits = adapter.limits();
    let needs = [
        ("maxStorageBuffersPerShaderStage", limits.max_storage_buffers_per_shader_stage, 6),
        ("maxComputeInvocationsPerWorkgroup", limits.max_compute_invocations_per_workgroup, 256),
        ("maxComputeWorkgroupStorageSize", limits.max_compute_workgroup_storage_size, 16 << 10),
    ];
    let short = needs.into_iter().find(|(_, has, need)| has < need);
    short.map(|(name, has, need)| format!("its {name} is {has}, but {need} are needed"))
}

/// Returns the best adapter that is not a software adapter and can run the kernels.
fn best(adapters: &[wgpu::Adapter]) -> Option<usize> {
    // Of several adapters of one rank, the first that wgpu lists is taken.
    let ranked = adapters.iter().enumerate().filter_map(|(index, adapter)| {
        if lack(adapter).is_some() {
            return None;
        }
        rank(adapter.get_info().device_type).map(|rank| (rank, index))
    });
    ranked.min().map(|(_, index)| index)
}

/// Finds the requested adapter. Returns the adapter, and why it was chosen.
pub(super) fn pick(kind: &DeviceKind) -> Result<(wgpu::Adapter, String)> {
    let adapters = enumerate();
    let infos: Vec<DeviceInfo> = adapters.iter().map(describe).collect();
    let (found, reason) = match kind {
        DeviceKind::Auto | DeviceKind::Gpu => (best(&adapters), "the best GPU found".to_string()),
        DeviceKind::Software => {
            let software =
                |adapter: &wgpu::Adapter| adapter.get_info().device_type == DeviceType::Cpu;
            (adapters.iter().position(software), "a software adapter was asked for".to_string())
        }
        DeviceKind::Cpu => (None, String::new()),
        DeviceKind::Named(name) => {
            let wanted = name.to_lowercase();
            let named = |info: &DeviceInfo| info.name.to_lowercase().contains(&wanted);
            (infos.iter().position(named), format!("its name contains \"{name}\""))
        }
    };
    match found.and_then(|index| adapters.into_iter().nth(index)) {
        // A named adapter that lacks something is an error, not a reason to take another one.
        Some(adapter) => match lack(&adapter) {
            None => Ok((adapter, reason)),
            Some(lack) => {
                let name = describe(&adapter);
                let problem = format!("{name} cannot be used: {lack}; use ‘device’ cpu");
                Err(Error::NoAdapter { problem })
            }
        },
        None => Err(Error::NoAdapter { problem: nothing(kind, &infos) }),
    }
}

/// Returns the message for a request that no adapter meets.
fn nothing(kind: &DeviceKind, infos: &[DeviceInfo]) -> String {
    let mut list: Vec<String> = infos.iter().map(DeviceInfo::to_string).collect();
    list.push("CPU (‘device’ cpu)".to_string());
    let wanted = match kind {
        DeviceKind::Auto | DeviceKind::Gpu => "no GPU was found".to_string(),
        DeviceKind::Software => {
            "no software adapter was found; Linux has one in mesa-vulkan-drivers, Windows has WARP"
                .to_string()
        }
        _ => format!("‘device’ {kind}: no adapter has that in its name"),
    };
    format!("{wanted}; there is: {}", list.join(", "))
}

/// Returns the cooperative matrices that an adapter multiplies: sizes m, n and k, and the types of operands and sums.
fn shapes(adapter: &wgpu::Adapter) -> Vec<String> {
    let name = |kind: wgpu::CooperativeScalarType| format!("{kind:?}").to_lowercase();
    let shape = |it: &wgpu::CooperativeMatrixProperties| {
        let (factors, sums) = (name(it.ab_type), name(it.cr_type));
        format!("{}x{}x{}_{factors}_{sums}", it.m_size, it.n_size, it.k_size)
    };
    adapter.cooperative_matrix_properties().iter().map(shape).collect()
}

/// Returns all adapters, for `wgrad adapters`.
pub fn adapters() -> Vec<AdapterReport> {
    let adapters = enumerate();
    let auto = best(&adapters);
    let report = |(index, adapter): (usize, &wgpu::Adapter)| {
        let (features, limits, info) = (adapter.features(), adapter.limits(), adapter.get_info());
        let named = [
            (wgpu::Features::SHADER_F16, "f16"),
            (wgpu::Features::SUBGROUP, "subgroups"),
            (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
            (wgpu::Features::PIPELINE_CACHE, "pipeline cache"),
            (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative matrices"),
        ];
        let has = |(feature, name): &(wgpu::Features, &str)| {
            features.contains(*feature).then(|| (*name).to_string())
        };
        let mut features: Vec<String> = named.iter().filter_map(has).collect();
        // Sizes belong to the name: a subgroup kernel needs one particular size.
        if let Some(at) = features.iter().position(|name| name == "subgroups") {
            features[at] =
                format!("subgroups of {} to {}", info.subgroup_min_size, info.subgroup_max_size);
        }
        if let Some(at) = features.iter().position(|name| name == "cooperative matrices") {
            features[at] = format!("cooperative matrices {}", shapes(adapter).join(" "));
        }
        let limits = [
            ("maxBufferSize", limits.max_buffer_size),
            ("maxStorageBufferBindingSize", limits.max_storage_buffer_binding_size),
            ("maxStorageBuffersPerShaderStage", limits.max_storage_buffers_per_shader_stage.into()),
            (
                "maxComputeInvocationsPerWorkgroup",
                limits.max_compute_invocations_per_workgroup.into(),
            ),
            ("maxComputeWorkgroupStorageSize", limits.max_compute_workgroup_storage_size.into()),
            (
                "maxComputeWorkgroupsPerDimension",
                limits.max_compute_workgroups_per_dimension.into(),
            ),
        ];
        AdapterReport {
            info: describe(adapter),
            features,
            limits: limits.map(|(name, value)| (name.to_string(), value)).into(),
            auto: auto == Some(index),
        }
    };
    adapters.iter().enumerate().map(report).collect()
}
