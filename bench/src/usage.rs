//! Processor time and memory of processes, as Linux tells them in `/proc`.

use std::fs;

/// Ticks a second in `/proc/PID/stat`: what Linux tells user space on every common architecture.
const TICKS: f64 = 100.0;

/// Processor seconds of a process, without its children's.
pub fn seconds(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |stat| stat.own)
}

/// Processor seconds of a process and of all its children, of those that have ended too.
pub fn seconds_with_children(pid: u32) -> f64 {
    let children = children(pid).into_iter().filter_map(stat).map(|stat| stat.own + stat.waited_for);
    children.sum::<f64>() + stat(pid).map_or(0.0, |stat| stat.own + stat.waited_for)
}

/// The most memory that a process ever had, or had since [`forget_peak`], in MiB.
pub fn peak_mib(pid: u32) -> Option<f64> {
    let kib: u32 = status(pid, "VmHWM:")?;
    Some(f64::from(kib) / 1024.0)
}

/// The memory that a process has, in MiB.
pub fn resident_mib(pid: u32) -> Option<f64> {
    let kib: u32 = status(pid, "VmRSS:")?;
    Some(f64::from(kib) / 1024.0)
}

/// Lets the most memory of a process be what it has now. False where the kernel does not let it.
pub fn forget_peak(pid: u32) -> bool {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

/// Who started a process.
pub fn parent(pid: u32) -> Option<u32> {
    status(pid, "PPid:")
}

struct Stat {
    parent: u32,
    own: f64,
    waited_for: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have spaces and parentheses itself.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok()).map(f64::from);
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / TICKS,
        waited_for: (ticks(13)? + ticks(14)?) / TICKS,
    })
}

/// The processes that it started and that still run.
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|child| stat(*child).is_some_and(|stat| stat.parent == pid)).collect()
}

fn status(pid: u32, what: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(what))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_parent_time_and_memory() {
        let pid = std::process::id();
        assert!(peak_mib(pid).unwrap() > 0.1);
        forget_peak(pid);
        assert!(peak_mib(pid).unwrap() > 0.1 && resident_mib(pid).unwrap() > 0.1);
        assert!(children(parent(pid).unwrap()).contains(&pid));
        while seconds(pid) < 0.01 {
            (0..100_000_u64).for_each(|number| {
                std::hint::black_box(number);
            });
        }
        assert!(seconds_with_children(pid) >= 0.01);
    }
}
