//! The memory that the host can still give, if the system reports it.

use std::fs::read_to_string;

use super::DeviceInfo;
use crate::error::{Error, Result};
use crate::plan::{BufferSpec, Plan, Role};

/// Refuses a plan that exceeds the host's memory, before anything is allocated: a system that promises more memory than it
/// has ends the whole program later. `bytes` are those that the plan takes on the device.
///
/// # Errors
/// If plan and the host's copies of the weights need more memory than there is.
pub(super) fn check(plan: &Plan, bytes: u64, info: &DeviceInfo) -> Result<()> {
    // The copies: kept weights, those just read, and two while a model is written.
    let params = plan.buffers().iter().find(|buffer| buffer.role == Role::Params);
    let params = params.map_or(0, BufferSpec::bytes);
    let need = bytes + 4 * params;
    match available() {
        Some(limit) if need > limit => Err(Error::TooLarge {
            what: "the plan with the host's copies of the weights".to_string(),
            need,
            adapter: info.name.clone(),
            limit,
            limit_name: "free memory",
            remedy: "use smaller layers, a smaller ‘batch_size’ or fewer rows".to_string(),
        }),
        _ => Ok(()),
    }
}

/// Returns the bytes that this process can still get: the least of what Linux, its control group and its own limit allow.
/// `None` on other systems.
pub(crate) fn available() -> Option<u64> {
    let meminfo = read_to_string("/proc/meminfo").ok()?;
    let free = field(&meminfo, "MemAvailable:")?.checked_mul(1024)?;
    let group = |name: &str| {
        let path = format!("/sys/fs/cgroup/{name}");
        read_to_string(path).ok()?.trim().parse::<u64>().ok()
    };
    // Cached pages of files count as used in a control group, but are given back when memory is needed.
    let stat = read_to_string("/sys/fs/cgroup/memory.stat").unwrap_or_default();
    let cached = ["inactive_file", "active_file", "slab_reclaimable"];
    let cached: u64 = cached.iter().filter_map(|name| field(&stat, name)).sum();
    let group = group("memory.max")
        .zip(group("memory.current"))
        .map(|(max, now)| max.saturating_sub(now.saturating_sub(cached)));
    // A limit on the address space holds for memory that is reserved, used or not.
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let used = field(&status, "VmSize:").unwrap_or(0) * 1024;
    let address = field(&limits, "Max address space").map(|limit| limit.saturating_sub(used));
    [Some(free), group, address].into_iter().flatten().min()
}

/// Returns the number after a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "MemFree:  5 kB\nMemAvailable:    1234 kB\nMax address space  unlimited unlimited bytes\n";
        assert_eq!(field(text, "MemAvailable:"), Some(1234));
        assert_eq!(field(text, "Max address space"), None);
        assert_eq!(field(text, "Absent:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_says_how_much_there_is() {
        let available = available().unwrap();
        assert!(available > 1 << 20 && available < 1 << 50, "{available}");
    }
}
