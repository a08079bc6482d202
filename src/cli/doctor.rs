//! `doctor`: checks the installation and reports what was found, what is missing and how to fix it.

mod logout;
mod terminal;

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use super::code;
use super::print::print_line;
use crate::config::Config;
use crate::session::sockets;

/// Whether something that training needs is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// It cannot be found out; training works all the same.
    Unknown,
    Missing,
}

/// The result of one check.
struct Check {
    verdict: Verdict,
    what: &'static str,
    found: String,
    remedy: Option<String>,
}

impl Check {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            what,
            found: found.into(),
            remedy: None,
        }
    }

    fn bad(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Missing,
            what,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Passed, but with a suggestion.
    fn hint(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..Self::good(what, found)
        }
    }
}

/// Checks everything a run needs. Exit code 1 if training cannot work.
pub(super) fn report(config: &Config) -> u8 {
    let mut checks = vec![Check::good("epochtop", version())];
    checks.extend(engine(config));
    checks.push(machine());
    checks.push(terminal::check());
    checks.push(encoding());
    checks.push(sockets_check(&sockets::directory(), live()));
    checks.push(logout::check());
    checks.push(runs(Path::new(&config.runs.dir)));
    for Check {
        verdict,
        what,
        found,
        remedy,
    } in &checks
    {
        print_line(&format!(
            "{}  {what:<10} {found}",
            match verdict {
                Verdict::Ok => "ok     ",
                Verdict::Unknown => "unknown",
                Verdict::Missing => "MISSING",
            }
        ));
        remedy
            .iter()
            .for_each(|remedy| print_line(&format!("{:20} → {remedy}", "")));
    }
    if checks.iter().all(|check| check.verdict != Verdict::Missing) {
        code::COMPLETED
    } else {
        code::FAILED
    }
}

fn version() -> String {
    let part = if cfg!(feature = "train") {
        "viewer and trainer"
    } else {
        "viewer only, built without libtorch"
    };
    format!("{} ({part})", env!("CARGO_PKG_VERSION"))
}

#[cfg(not(feature = "train"))]
fn engine(_: &Config) -> Vec<Check> {
    Vec::new()
}

#[cfg(feature = "train")]
fn engine(config: &Config) -> Vec<Check> {
    let libtorch = Check::good(
        "libtorch",
        format!(
            "{}, {} threads",
            crate::train::libtorch_version(),
            crate::train::cores(config.train.threads)
        ),
    );
    let data = match crate::images::locate(&config.data) {
        Ok(found) => Check::good(
            "data",
            format!("{} in {}", found.name(&config.data), found.dir.display()),
        ),
        Err(error) => Check::bad(
            "data",
            error.0.lines().next().unwrap_or_default(),
            "run `make setup`, or set data.dir or EPOCHTOP_DATA",
        ),
    };
    vec![libtorch, gpu(), data]
}

#[cfg(feature = "train")]
fn gpu() -> Check {
    let driver = Path::new("/proc/driver/nvidia/version").exists();
    match (crate::train::cuda_devices(), driver) {
        (0, true) => match crate::native::load_cuda() {
            crate::native::Cuda::Broken(why) => Check::bad(
                "gpu",
                format!(
                    "NVIDIA driver found, but the CUDA library of libtorch cannot be loaded: {why}"
                ),
                "run `make setup` to download torch 2.11 with CUDA 13, or set LIBTORCH to another libtorch",
            ),
            crate::native::Cuda::Loaded => Check::hint(
                "gpu",
                "NVIDIA driver and libtorch with CUDA 13 found, but no CUDA device",
                "CUDA 13 needs driver 580 or newer (see nvidia-smi); CUDA_VISIBLE_DEVICES may hide devices",
            ),
            crate::native::Cuda::Absent => Check::hint(
                "gpu",
                "NVIDIA driver found, but this libtorch supports the CPU only",
                "run `make setup` to download torch 2.11 with CUDA; no rebuild needed",
            ),
        },
        (0, false) => Check::good("gpu", "none (no NVIDIA driver); training runs on the CPU"),
        (devices, _) => Check::good("gpu", format!("{devices} CUDA devices")),
    }
}

fn machine() -> Check {
    let cores = crate::threads::cores();
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text
            .lines()
            .find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    let memory = memory.map_or_else(
        || "memory unknown".to_owned(),
        |kib| format!("{:.1} GiB memory free", kib / 1024.0 / 1024.0),
    );
    Check::good("machine", format!("{cores} cores, {memory}"))
}

fn encoding() -> Check {
    if crate::tui::utf8_locale(|key| env::var(key).ok()) {
        Check::good("characters", "UTF-8")
    } else {
        Check::hint(
            "characters",
            "ASCII: the locale is not UTF-8",
            "export LC_ALL=C.UTF-8 for finer charts if your terminal supports UTF-8",
        )
    }
}

/// The socket directory of trainers. If it cannot be used, `train` cannot show its screen.
fn sockets_check(dir: &Path, live: usize) -> Check {
    const ELSEWHERE: &str = "set EPOCHTOP_SOCKET_DIR to another directory";
    let error = match sockets::check(dir) {
        Ok(()) => return Check::good("sockets", format!("{} ({live} live)", dir.display())),
        Err(error) => error,
    };
    if error.kind() != io::ErrorKind::NotFound {
        // The error text is "problem; remedy".
        let words = error.to_string();
        let (wrong, remedy) = words.split_once("; ").unwrap_or((&words, ELSEWHERE));
        return Check::bad("sockets", wrong, remedy);
    }
    let base = dir.parent().unwrap_or(dir);
    match rustix::fs::access(base, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Check::good(
            "sockets",
            format!("{} (created by the first run)", dir.display()),
        ),
        Err(error) => {
            let error = io::Error::from(error);
            let wrong = format!("{} cannot be created: {error}", dir.display());
            Check::bad("sockets", wrong, ELSEWHERE)
        }
    }
}

/// The number of sockets with a listening trainer.
fn live() -> usize {
    let all = sockets::all();
    all.iter()
        .filter(|socket| !sockets::is_stale(socket))
        .count()
}

fn runs(dir: &Path) -> Check {
    // If the directory does not exist yet, its nearest existing ancestor is checked.
    let there = dir
        .ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() {
        Path::new(".")
    } else {
        there
    };
    let writable = rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok();
    let free = rustix::fs::statvfs(there).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let found = format!(
        "{} ({:.1} GiB free)",
        absolute.display(),
        free as f64 / f64::from(1 << 30)
    );
    if !writable {
        return Check::bad(
            "runs",
            format!("{}: not writable", dir.display()),
            "choose another directory: --runs DIR or runs.dir",
        );
    }
    if free < 100 << 20 {
        return Check::bad(
            "runs",
            found,
            "free disk space: a run with default settings needs about 20 MB",
        );
    }
    Check::good("runs", found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn socket_directory_may_be_absent_but_not_open_to_others() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("epochtop-1000");
        let mode = |mode| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        let check = sockets_check(&dir, 2);
        assert!(
            check.verdict == Verdict::Ok && check.found.ends_with("(created by the first run)")
        );
        fs::create_dir(&dir).unwrap();
        mode(0o700);
        assert!(
            sockets_check(&dir, 2)
                .found
                .ends_with("/epochtop-1000 (2 live)")
        );
        mode(0o755);
        let check = sockets_check(&dir, 2);
        assert!(
            check.verdict == Verdict::Missing
                && check.found.ends_with("is open to others (mode 755)")
        );
        assert!(check.remedy.unwrap().starts_with("`chmod 700` closes it"));
        let check = sockets_check(&base.path().join("not/there"), 0);
        assert!(
            check.verdict == Verdict::Missing && check.found.contains("cannot be created"),
            "{}",
            check.found
        );
    }
}
