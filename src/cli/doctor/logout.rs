//! `doctor`: whether logging out ends a run. systemd-logind decides, and `loginctl` reports it.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Finding;

/// How long `loginctl` may take; it asks a service, which may hang.
const DEADLINE: Duration = Duration::from_secs(2);

pub(super) fn finding() -> Finding {
    // Without a session it shows the manager's own properties.
    let asked = Command::new("loginctl")
        .args(["show-session", "--property=KillUserProcesses"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let shown = asked.ok().and_then(|child| output_of(child, DEADLINE));
    finding_of(shown.as_deref())
}

fn finding_of(shown: Option<&str>) -> Finding {
    match shown.and_then(|text| text.trim().strip_prefix("KillUserProcesses=")) {
        None => Finding::good(
            "logout",
            "nothing is known to end a run here (loginctl does not answer)",
        ),
        Some("no") => Finding::good(
            "logout",
            "does not end a run (logind: KillUserProcesses=no)",
        ),
        Some(other) => Finding::hint(
            "logout",
            format!(
                "ends a run that is started in this session (logind: KillUserProcesses={other})"
            ),
            "`loginctl enable-linger`, then `systemd-run --user --scope epochtop train --detach`",
        ),
    }
}

/// What a process prints; none when it fails or takes too long.
fn output_of(mut child: Child, deadline: Duration) -> Option<String> {
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > deadline {
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
    fn what_would_end_a_run_has_a_remedy() {
        let remedy = |shown| finding_of(shown).remedy.is_some();
        assert!(!remedy(None) && !remedy(Some("")) && !remedy(Some("KillUserProcesses=no\n")));
        assert!(remedy(Some("KillUserProcesses=yes\n")));
    }

    #[test]
    fn a_process_that_hangs_or_fails_says_nothing() {
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
