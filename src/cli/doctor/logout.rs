//! `doctor`: whether logging out ends a run. systemd-logind decides this; `loginctl` reports its setting.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Check, Verdict};

/// Time limit for `loginctl`, which queries a service that may hang.
const DEADLINE: Duration = Duration::from_secs(2);

pub(super) fn check() -> Check {
    // Without a session argument, `loginctl` shows the properties of the manager.
    let child = Command::new("loginctl")
        .args(["show-session", "--property=KillUserProcesses"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let shown = child.ok().and_then(|child| output_of(child, DEADLINE));
    check_of(shown.as_deref())
}

fn check_of(shown: Option<&str>) -> Check {
    match shown.and_then(|text| text.trim().strip_prefix("KillUserProcesses=")) {
        None => Check {
            verdict: Verdict::Unknown,
            ..Check::hint(
                "logout",
                "no answer from loginctl",
                "if runs end when you log out, see \"Leave and come back\" in docs/remote.md",
            )
        },
        Some("no") => Check::good("logout", "does not end runs (logind: KillUserProcesses=no)"),
        Some(other) => Check::hint(
            "logout",
            format!("ends runs started in this session (logind: KillUserProcesses={other})"),
            "`loginctl enable-linger`, then `systemd-run --user --scope epochtop train --detach`",
        ),
    }
}

/// The stdout of a process; `None` if it fails or exceeds the deadline.
fn output_of(mut child: Child, deadline: Duration) -> Option<String> {
    let started = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if started.elapsed() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        sleep(Duration::from_millis(10));
    }
    let success = child.wait().is_ok_and(|status| status.success());
    let mut text = String::new();
    child.stdout?.read_to_string(&mut text).ok()?;
    success.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_setting_that_ends_runs_has_a_remedy() {
        let remedy = |shown| check_of(shown).remedy.is_some();
        assert!(!remedy(Some("KillUserProcesses=no\n")));
        assert!(remedy(Some("KillUserProcesses=yes\n")));
        let verdict = |shown| check_of(shown).verdict;
        assert_eq!(verdict(None), Verdict::Unknown);
        assert_eq!(verdict(Some("")), Verdict::Unknown);
        assert_eq!(verdict(Some("KillUserProcesses=yes\n")), Verdict::Ok);
    }

    #[test]
    fn a_process_that_hangs_or_fails_has_no_output() {
        let run = |script: &str| {
            let shell = Command::new("sh")
                .args(["-c", script])
                .stdout(Stdio::piped())
                .spawn();
            output_of(shell.ok()?, Duration::from_millis(300))
        };
        assert_eq!(run("echo a").as_deref(), Some("a\n"));
        assert_eq!(run("echo a; exit 3"), None);
        assert_eq!(run("exec sleep 60"), None);
    }
}
