//! Tests over SSH with an `sshd` on the loopback interface (`EPOCHTOP_SSHD`, or `/usr/sbin/sshd`; skipped without one).
//! After the connection is lost, a new connection attaches to the same run.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use crate::lifetime::{Place, records, steps_done, wait};
use crate::pty::{Terminal, meta, step};

const PROGRAM: &str = env!("CARGO_BIN_EXE_epochtop");

/// A private SSH server on a free port.
struct Sshd {
    dir: tempfile::TempDir,
    server: Child,
    port: u16,
}

impl Sshd {
    /// Starts the server; `None` if sshd is not installed.
    fn start() -> Option<Self> {
        let named = std::env::var_os("EPOCHTOP_SSHD").map(PathBuf::from);
        let program = named.unwrap_or_else(|| PathBuf::from("/usr/sbin/sshd"));
        if !program.is_file() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().display();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.path().join(key))
                .status();
            assert!(made.unwrap().success());
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\nStrictModes no\n\
             UsePAM no\nPidFile none\nPermitRootLogin yes\n"
        );
        fs::write(dir.path().join("config"), config).unwrap();
        // The privilege separation directory, which must exist.
        let _ = fs::create_dir_all("/run/sshd");
        let server = Command::new(program)
            .args(["-D", "-f"])
            .arg(dir.path().join("config"))
            .arg("-E")
            .arg(dir.path().join("log"))
            .spawn()
            .unwrap();
        let sshd = Self { dir, server, port };
        wait("sshd", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(sshd)
    }

    /// Logs in with a pseudo-terminal and runs a command.
    fn log_in(&self, command: &str) -> Terminal {
        let mut args = self.arguments(&["-tt"]);
        args.push(command.to_owned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Terminal::run_program(&[], "ssh", &args, (30, 100))
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let key = self.dir.path().join("user").display().to_string();
        let port = self.port.to_string();
        let mut args = vec!["-q", "-p", &port, "-i", &key];
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
        ] {
            args.extend(["-o", option]);
        }
        args.extend(more);
        args.push("127.0.0.1");
        args.into_iter().map(str::to_owned).collect()
    }

    /// Forwards the Unix socket `there` on the server to `here`; returns the forwarding ssh client.
    fn forward_socket(&self, there: &Path, here: &Path) -> Child {
        let forward = format!("{}:{}", here.display(), there.display());
        let child = Command::new("ssh")
            .args(self.arguments(&["-N", "-L", &forward]))
            .spawn()
            .unwrap();
        wait("the forwarded socket", || here.exists().then_some(()));
        child
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn quoted(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    quoted.join(" ")
}

/// Kills the ssh client, so that the connection drops as if a laptop were closed.
fn cut(terminal: &Terminal) {
    let pid = Pid::from_raw(terminal.child.process_id().unwrap() as i32).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

fn with_environment(path: &Path, words: &str) -> String {
    format!(
        "export EPOCHTOP_SOCKET_DIR='{}' LC_ALL=C.UTF-8; {words}",
        path.display()
    )
}

#[test]
fn a_new_ssh_connection_reattaches_to_the_run() {
    let Some(sshd) = Sshd::start() else {
        return;
    };
    let place = Place::new();
    let (runs, run) = (place.runs.path(), place.run());
    let train = format!("cd / && {PROGRAM} {}", quoted(&place.arguments(4000)));
    let first = sshd.log_in(&with_environment(runs, &train));
    first.wait("a step", |text| step(text).filter(|step| *step > 0));
    cut(&first);
    let trainer = meta(&run).unwrap().pid;
    let before = steps_done(&run);
    wait("a later step", || (steps_done(&run) > before).then_some(()));
    let mut second = sshd.log_in(&with_environment(
        runs,
        &format!("cd /usr && {PROGRAM} attach t"),
    ));
    second.wait("a later step", |text| {
        step(text).filter(|step| *step > before)
    });
    second.press("c");
    second.wait_for("checkpoint done");
    // Attach through a forwarded socket, as from another machine.
    let here = sshd.dir.path().join("here.sock");
    let mut line = sshd.forward_socket(&meta(&run).unwrap().socket.unwrap(), &here);
    let mut far = Terminal::start(&["attach", "--socket", here.to_str().unwrap()], (30, 100));
    far.wait("a step", |text| step(text).filter(|step| *step > before));
    far.wait_for("w control");
    line.kill().unwrap();
    line.wait().unwrap();
    far.wait_for("connection to the run was closed");
    far.press("q");
    assert_eq!(far.exit_code(), 1);
    // Cut the second connection while a dialog is open.
    second.press("q");
    second.wait_for("Detach or stop?");
    cut(&second);
    let mut third = sshd.log_in(&with_environment(runs, &format!("{PROGRAM} attach t")));
    third.wait("a step", |text| step(text).filter(|step| *step > 0));
    assert_eq!(
        meta(&run).unwrap().pid,
        trainer,
        "the trainer must still be the same process"
    );
    third.press("q");
    third.wait_for("Detach or stop?");
    third.press("s");
    assert_eq!(third.exit_code(), 0);
    assert_eq!(
        meta(&run).unwrap().outcome,
        epochtop::session::RunOutcome::Stopped
    );
    for (i, record) in records(&run).iter().enumerate() {
        assert_eq!(record.seq, i as u64 + 1, "a gap in the journal");
    }
}
