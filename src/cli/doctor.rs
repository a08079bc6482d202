//! `doctor`: what was found, what is missing, what to do.

mod logout;
mod terminal;

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use super::code;
use super::print::say;
use crate::config::Config;
use crate::session::sockets;

/// One thing looked at.
struct Finding {
    good: bool,
    what: &'static str,
    found: String,
    remedy: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            good: true,
            what,
            found: found.into(),
            remedy: None,
        }
    }

    fn bad(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            good: false,
            what,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Fine as it is, but there is more to have.
    fn hint(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..Self::good(what, found)
        }
    }
}

/// Looks at everything a run needs. Exit code 1 when training cannot work.
pub(super) fn report(config: &Config) -> u8 {
    let mut findings = vec![Finding::good("epochtop", version())];
    findings.extend(engine(config));
    findings.push(machine());
    findings.push(terminal::finding());
    findings.push(encoding());
    findings.push(listening(&sockets::directory(), live()));
    findings.push(logout::finding());
    findings.push(runs(Path::new(&config.runs.dir)));
    for Finding {
        good,
        what,
        found,
        remedy,
    } in &findings
    {
        say(&format!(
            "{}  {what:<10} {found}",
            if *good { "ok     " } else { "MISSING" }
        ));
        remedy
            .iter()
            .for_each(|remedy| say(&format!("{:20} → {remedy}", "")));
    }
    if findings.iter().all(|finding| finding.good) {
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
fn engine(_: &Config) -> Vec<Finding> {
    Vec::new()
}

#[cfg(feature = "train")]
fn engine(config: &Config) -> Vec<Finding> {
    let libtorch = Finding::good(
        "libtorch",
        format!(
            "{}, {} threads",
            crate::train::libtorch_version(),
            crate::train::cores(config.train.threads)
        ),
    );
    let data = match crate::data::locate(&config.data) {
        Ok(found) => Finding::good(
            "data",
            format!("{} in {}", config.data.name, found.dir.display()),
        ),
        Err(error) => Finding::bad(
            "data",
            error.0.lines().next().unwrap_or_default(),
            "run `make setup`, or set data.dir or EPOCHTOP_DATA",
        ),
    };
    vec![libtorch, gpu(), data]
}

#[cfg(feature = "train")]
fn gpu() -> Finding {
    let driver = Path::new("/proc/driver/nvidia/version").exists();
    match (crate::train::cuda_devices(), driver) {
        (0, true) => match crate::native::load_cuda() {
            crate::native::Cuda::Broken(why) => Finding::bad(
                "gpu",
                format!("an NVIDIA driver, but libtorch's CUDA part cannot be loaded: {why}"),
                "`make setup` fetches torch 2.11 with CUDA 13; LIBTORCH names another",
            ),
            crate::native::Cuda::Loaded => Finding::hint(
                "gpu",
                "an NVIDIA driver and a libtorch with CUDA 13, which sees no device",
                "nvidia-smi tells the driver's version: CUDA 13 wants 580 or newer; CUDA_VISIBLE_DEVICES may hide devices",
            ),
            crate::native::Cuda::Absent => Finding::hint(
                "gpu",
                "an NVIDIA driver, but this libtorch computes on the CPU only",
                "`make setup` fetches torch 2.11 with CUDA; no need to build again",
            ),
        },
        (0, false) => Finding::good("gpu", "none (no NVIDIA driver); training runs on the CPU"),
        (devices, _) => Finding::good("gpu", format!("{devices} CUDA devices")),
    }
}

fn machine() -> Finding {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
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
    Finding::good("machine", format!("{cores} cores, {memory}"))
}

fn encoding() -> Finding {
    if crate::tui::utf8_locale(|key| env::var(key).ok()) {
        Finding::good("characters", "UTF-8")
    } else {
        Finding::hint(
            "characters",
            "ASCII: the locale does not say UTF-8",
            "export LC_ALL=C.UTF-8 for finer charts, if your terminal shows UTF-8",
        )
    }
}

/// Where trainers listen. A place that cannot be used keeps `train` from its screen.
fn listening(dir: &Path, live: usize) -> Finding {
    const ELSEWHERE: &str = "EPOCHTOP_SOCKET_DIR names another place";
    let error = match sockets::check(dir) {
        Ok(()) => return Finding::good("sockets", format!("{} ({live} live)", dir.display())),
        Err(error) => error,
    };
    if error.kind() != io::ErrorKind::NotFound {
        // What is wrong, then what to do.
        let words = error.to_string();
        let (wrong, remedy) = words.split_once("; ").unwrap_or((&words, ELSEWHERE));
        return Finding::bad("sockets", wrong, remedy);
    }
    let base = dir.parent().unwrap_or(dir);
    match rustix::fs::access(base, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Finding::good(
            "sockets",
            format!("{} (the first run makes it)", dir.display()),
        ),
        Err(error) => {
            let error = io::Error::from(error);
            let wrong = format!("{} cannot be made: {error}", dir.display());
            Finding::bad("sockets", wrong, ELSEWHERE)
        }
    }
}

/// Sockets that somebody listens on.
fn live() -> usize {
    let all = sockets::all();
    all.iter()
        .filter(|socket| !sockets::is_stale(socket))
        .count()
}

fn runs(dir: &Path) -> Finding {
    // The directory may not exist yet; then its nearest ancestor decides.
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
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let found = format!(
        "{} ({:.1} GiB free)",
        whole.display(),
        free as f64 / f64::from(1 << 30)
    );
    if !writable {
        return Finding::bad(
            "runs",
            format!("{}: not writable", dir.display()),
            "choose another directory: --runs DIR or runs.dir",
        );
    }
    if free < 100 << 20 {
        return Finding::bad(
            "runs",
            found,
            "free some space: a default run needs about 20 MB",
        );
    }
    Finding::good("runs", found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_place_for_sockets_is_fine_before_it_is_there_and_bad_when_it_is_open() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("epochtop-1000");
        let mode = |mode| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        let told = listening(&dir, 2);
        assert!(told.good && told.found.ends_with("(the first run makes it)"));
        fs::create_dir(&dir).unwrap();
        mode(0o700);
        assert!(
            listening(&dir, 2)
                .found
                .ends_with("/epochtop-1000 (2 live)")
        );
        mode(0o755);
        let told = listening(&dir, 2);
        assert!(!told.good && told.found.ends_with("is open to others (mode 755)"));
        assert!(told.remedy.unwrap().starts_with("`chmod 700` closes it"));
        let told = listening(&base.path().join("not/there"), 0);
        assert!(
            !told.good && told.found.contains("cannot be made"),
            "{}",
            told.found
        );
    }
}
