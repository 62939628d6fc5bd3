//! What the operating system knows of this process: resident memory, processor time, descriptors, and the memory that it may use. Read
//! at the moment of a scrape, from `/proc` and the control group's files; elsewhere than on Linux, and where they can't be read,
//! nothing is known and nothing is exported.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Bytes of memory that are backed by pages of their own.
    pub resident_bytes: Option<u64>,
    /// Bytes that it may use: the least that its control group, one around that, or the machine has. Beyond that the kernel ends it.
    pub memory_limit_bytes: Option<u64>,
    /// Of all threads, in the kernel too.
    pub cpu_seconds: Option<f64>,
    pub open_fds: Option<u64>,
    /// `None` also where there is no limit.
    pub max_fds: Option<u64>,
}

impl Process {
    /// Some system calls on files that are made of memory; tens of microseconds.
    pub fn read() -> Self {
        if !cfg!(target_os = "linux") {
            return Self::default();
        }
        Self {
            resident_bytes: field("/proc/self/status", "VmRSS:"),
            memory_limit_bytes: memory_limit(),
            cpu_seconds: cpu_seconds(),
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The families that a scrape finds: what is not known has none. Names and sentences are those of all clients of Prometheus.
#[derive(Debug)]
pub struct Scrape;

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let process = Process::read();
        let gauges = [
            (
                "larder_memory_limit_bytes",
                "Memory that the process may use: of its control group, one around it, or the machine",
                process.memory_limit_bytes,
            ),
            ("process_resident_memory_bytes", "Resident memory size in bytes", process.resident_bytes),
            ("process_open_fds", "Number of open file descriptors", process.open_fds),
            ("process_max_fds", "Maximum number of open file descriptors", process.max_fds),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        if let Some(seconds) = process.cpu_seconds {
            let (name, help) = ("process_cpu_seconds", "Total user and system CPU time spent in seconds");
            let counter = ConstCounter::new(seconds);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// The value behind a name, as `status` and `meminfo` have it: in kB, which are KiB.
fn field(file: &str, name: &str) -> Option<u64> {
    kib(&fs::read_to_string(file).ok()?, name)
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn cpu_seconds() -> Option<f64> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(used.tv_sec).ok()?;
    #[allow(clippy::cast_precision_loss)] // exact for 285 million years
    let seconds = seconds as f64;
    Some(seconds + u32::try_from(used.tv_nsec).ok().map(f64::from)? / 1e9)
}

fn open_fds() -> Option<u64> {
    // One of them is that of the list.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

fn memory_limit() -> Option<u64> {
    let machine = field("/proc/meminfo", "MemTotal:");
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| limit(&fs::read_to_string(file).ok()?));
    limits.chain(machine).min()
}

/// `max` is no limit.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Where the limits of a process stand that is in these control groups: of its own group, and of all around it. In a container the
/// path is often the host's, and only the outermost of these exists.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let own = Path::new(group.trim_start_matches('/'));
        files.extend(own.ancestors().map(|group| Path::new(root).join(group).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_knows_itself() {
        let process = Process::read();
        let resident = process.resident_bytes.unwrap();
        assert!(resident > 1024 * 1024 && resident < process.memory_limit_bytes.unwrap(), "{process:?}");
        assert!(process.cpu_seconds.unwrap() >= 0.0);
        assert!(process.open_fds.unwrap() >= 3, "{process:?}");
    }

    #[test]
    fn memory_that_is_filled_is_resident() {
        let before = Process::read().resident_bytes;
        let filled = vec![1_u8; 64 << 20];
        let after = Process::read().resident_bytes;
        assert!(after.zip(before).is_none_or(|(after, before)| after >= before + (32 << 20)));
        drop(std::hint::black_box(filled));
    }

    #[test]
    fn sizes_are_read_with_their_unit_and_nothing_is_guessed() {
        let text = "Name:\tlarder\nVmRSS:\t  12345 kB\nVmHWM:\t x kB\nThreads:\t4\n";
        assert_eq!(kib(text, "VmRSS:"), Some(12_345 * 1024));
        for name in ["VmHWM:", "Threads:", "VmSwap:"] {
            assert_eq!(kib(text, name), None, "{name}");
        }
        assert_eq!(limit("1073741824\n"), Some(1 << 30));
        assert_eq!(limit("max\n"), None);
    }

    #[test]
    fn limits_are_those_of_the_group_and_of_all_around_it() {
        let shown = |groups| -> Vec<String> {
            limit_files(groups).iter().map(|file| file.display().to_string()).collect()
        };
        assert_eq!(
            shown("0::/system.slice/larder.service\n"),
            [
                "/sys/fs/cgroup/system.slice/larder.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(shown("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        let first = "12:cpu,cpuacct:/x\n4:memory:/docker/0123\nnonsense\n";
        assert_eq!(
            shown(first),
            [
                "/sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
    }
}
