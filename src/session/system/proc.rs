//! Parsers for the files in `/proc` and for control-group memory limits. They return `None` if the text has another
//! format.
//!
//! The crate `procfs` (0.18) is not used: its parser of `/proc/meminfo` fails if a field is missing that is not needed
//! here, such as `SwapCached`, it does not read the memory limits of control groups, and it would save only about
//! thirty lines.

/// CPU time since boot, in clock ticks summed over all CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ticks {
    pub(super) busy: u64,
    pub(super) all: u64,
}

impl Ticks {
    /// The fraction of busy time since the sample `before`, 0 to 1. `None` if no time has passed or the counter was
    /// reset.
    pub(super) fn share_since(self, before: Self) -> Option<f32> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        // The kernel may decrease its iowait counter, so the increase in busy time can exceed the total.
        let busy = self.busy.saturating_sub(before.busy).min(all);
        Some((busy as f64 / all as f64) as f32)
    }
}

/// Parses `/proc/stat`: user, nice, system, idle, iowait, irq, softirq and steal time of all CPUs (proc_stat(5)). Guest
/// time is already included in user and nice.
pub(super) fn machine_ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = line
        .split_ascii_whitespace()
        .take(8)
        .map_while(|word| word.parse().ok())
        .collect();
    let idle = times
        .get(3)?
        .saturating_add(times.get(4).copied().unwrap_or(0));
    let all = times.iter().copied().fold(0, u64::saturating_add);
    Some(Ticks {
        busy: all.saturating_sub(idle),
        all,
    })
}

/// Parses `/proc/self/stat`: clock ticks of the process in user and kernel mode (fields 14 and 15 of proc_pid_stat(5)).
pub(super) fn process_ticks(stat: &str) -> Option<u64> {
    // The program name is in parentheses and can itself contain parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system))
}

/// Parses `/proc/meminfo`: used and total memory in bytes. Used memory is total minus available memory, so reclaimable
/// caches do not count as used.
pub(super) fn memory(meminfo: &str) -> Option<(u64, u64)> {
    let total = kib(meminfo, "MemTotal:")?;
    let available = kib(meminfo, "MemAvailable:")?;
    Some((total.saturating_sub(available), total))
}

/// Used memory and memory limit of a container, in bytes. `None` if its limit is not below `machine`, the total memory
/// of the host. `max` and `current` are the texts of `memory.max` and `memory.current` of a control group (version 1:
/// `memory.limit_in_bytes`, `memory.usage_in_bytes`), `stat` that of its `memory.stat`. Inactive file pages can be
/// reclaimed at once and do not count as used, as in the kubelet's working set.
pub(super) fn contained(machine: u64, max: &str, current: &str, stat: &str) -> Option<(u64, u64)> {
    // Without a limit the text is "max", or in version 1 a number larger than any memory.
    let limit: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let idle = ["total_inactive_file ", "inactive_file "]
        .iter()
        .find_map(|label| stat.lines().find_map(|line| line.strip_prefix(label)));
    let idle = idle.and_then(|number| number.trim().parse().ok());
    let taken = current.saturating_sub(idle.unwrap_or(0));
    (limit > 0 && limit < machine).then_some((taken.min(limit), limit))
}

/// Parses `/proc/self/status`: resident memory (RSS) of the process in bytes.
pub(super) fn resident(status: &str) -> Option<u64> {
    kib(status, "VmRSS:")
}

/// Parses `/proc/loadavg`: the load average over the last minute.
pub(super) fn load(loadavg: &str) -> Option<f32> {
    let load: f32 = loadavg.split_ascii_whitespace().next()?.parse().ok()?;
    (load.is_finite() && load >= 0.0).then_some(load)
}

/// The value of a line such as `VmRSS:   2004 kB`, in bytes.
fn kib(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    let number = line.trim().strip_suffix("kB")?.trim_end();
    number.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAT: &str = "cpu  87914 0 9143 44012 618 0 91 680 0 0\ncpu0 43571 0 4210 22896 167 0 9 350 0 0\n\
                        intr 123 0\nctxt 456\n";
    const SELF: &str = "12761 (a) (b c) R 12757 12757 6888 0 -1 4194304 98 0 0 0 1234 56 0 0 20 0 1 0 71446 3133440 359 \
                        18446744073709551615\n";
    const MEMINFO: &str = "MemTotal:       24684092 kB\nMemFree:        21754940 kB\nMemAvailable:   23395064 kB\n\
                           Buffers:           12440 kB\nHugePages_Total:       0\n";
    const STATUS: &str =
        "Name:\tepochtop\nVmPeak:\t    3060 kB\nVmRSS:\t    2004 kB\nThreads:\t1\n";

    #[test]
    fn machine_cpu_time_is_parsed() {
        let ticks = machine_ticks(STAT);
        let (busy, all) = (87914 + 9143 + 91 + 680, 142_458);
        assert_eq!(ticks, Some(Ticks { busy, all }));
        // Kernels before 2.6 write only four numbers.
        let (busy, all) = (6, 10);
        assert_eq!(machine_ticks("cpu  1 2 3 4"), Some(Ticks { busy, all }));
        assert_eq!(machine_ticks("cpu0 1 2 3 4"), None);
        assert_eq!(machine_ticks("cpu  1 2 x 4"), None);
    }

    #[test]
    fn cpu_share_is_computed_between_two_samples() {
        let ticks = |busy, all| Ticks { busy, all };
        assert_eq!(ticks(30, 200).share_since(ticks(5, 100)), Some(0.25));
        assert_eq!(ticks(30, 200).share_since(ticks(30, 200)), None);
        assert_eq!(ticks(0, 300).share_since(ticks(30, 200)), Some(0.0));
        assert_eq!(
            ticks(0, 0).share_since(ticks(30, 200)),
            None,
            "a counter that was reset"
        );
    }

    #[test]
    fn process_cpu_time_is_parsed_for_any_program_name() {
        assert_eq!(process_ticks(SELF), Some(1290));
        assert_eq!(process_ticks("1 (sh R 1 1"), None);
    }

    #[test]
    fn container_memory_limit_is_parsed() {
        let machine = 64 << 30;
        let stat = "anon 5\ninactive_file 1000\nactive_file 7\n";
        assert_eq!(
            contained(machine, "8192\n", "5000\n", stat),
            Some((4000, 8192))
        );
        let old = "inactive_file 1\ntotal_inactive_file 2000\n";
        assert_eq!(
            contained(machine, "8192\n", "5000\n", old),
            Some((3000, 8192))
        );
        assert_eq!(contained(machine, "8192", "5000", ""), Some((5000, 8192)));
        assert_eq!(contained(machine, "max\n", "5000\n", stat), None);
        assert_eq!(
            contained(machine, "9223372036854771712", "5000", stat),
            None
        );
    }

    #[test]
    fn used_memory_excludes_available_memory() {
        let used = (24_684_092 - 23_395_064) * 1024;
        assert_eq!(memory(MEMINFO), Some((used, 24_684_092 * 1024)));
        assert_eq!(resident(STATUS), Some(2004 * 1024));
        assert_eq!(memory("MemTotal: 5 kB"), None);
        assert_eq!(resident("VmRSS: 5 MB"), None);
    }

    #[test]
    fn load_average_of_the_last_minute_is_parsed() {
        assert_eq!(load("2.26 1.78 0.93 3/110 12765\n"), Some(2.26));
        assert_eq!(load("nan 1 1"), None);
        assert_eq!(load(""), None);
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text in "(cpu |MemTotal:|VmRSS:|[0-9]{1,30}|[ )(\n]|kB|.){0,40}") {
            let ticks = machine_ticks(&text).unwrap_or_default();
            if let Some(share) = ticks.share_since(Ticks::default()) {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            let _ = (process_ticks(&text), memory(&text), resident(&text), load(&text));
        }

        #[test]
        fn damaged_text_does_not_panic(at in 0_usize..400, byte in any::<char>()) {
            for text in [STAT, SELF, MEMINFO, STATUS] {
                let mut damaged: Vec<char> = text.chars().collect();
                if let Some(place) = damaged.get_mut(at) {
                    *place = byte;
                }
                let text: String = damaged.into_iter().collect();
                let _ = (machine_ticks(&text), process_ticks(&text), memory(&text), resident(&text));
            }
        }
    }
}
