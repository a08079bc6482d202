//! `doctor`: what would end a run when its user logs out. Where systemd runs, that is its to decide.
//!
//! What a login starts is in the scope of its session, or below the user's manager. logind ends the scope with the
//! session where KillUserProcesses says so, and lingering changes nothing about that; the manager ends after the last
//! session of a user who does not linger. A session of one's own (setsid) leaves neither.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;

use super::Finding;

/// Where logind's files lie, the weakest place first.
const PLACES: [&str; 4] = [
    "usr/lib/systemd",
    "usr/local/lib/systemd",
    "run/systemd",
    "etc/systemd",
];
const SCOPE: &str = "systemd-run --user --scope epochtop train --detach";

pub(super) fn finding() -> Finding {
    let root = Path::new("/");
    // As sd_booted(3) has it.
    if !root.join("run/systemd/system").is_dir() {
        return Finding::good("logout", "nothing is known to end a run here (no systemd)");
    }
    let cgroup = text(&root.join("proc/self/cgroup"));
    let own = rustix::process::geteuid().as_raw();
    // After `su` or `sudo` the session is still its owner's.
    let owner = cgroup.as_deref().and_then(owner).unwrap_or(own);
    let user = text(&root.join("etc/passwd"))
        .and_then(|passwd| name_of(owner, &passwd))
        // A directory service's user is in no file.
        .or_else(|| env::var("USER").ok().filter(|_| owner == own))
        .unwrap_or_default();
    let lingers = !user.is_empty() && root.join("var/lib/systemd/linger").join(&user).is_file();
    // Unknown is taken for what is ended first.
    let place = cgroup.as_deref().map_or(Place::Session, place);
    words(place, Logind::read(&texts(root)).ends(&user), lingers)
}

fn words(place: Place, ends: bool, lingers: bool) -> Finding {
    let good = |found| Finding::good("logout", found);
    match (place, ends, lingers) {
        (Place::Session, false, _) => {
            good("nothing ends a run: logind lets what a session started go on (KillUserProcesses)")
        }
        (Place::Manager, _, true) => {
            good("nothing ends a run: this shell is below your user manager, which lingers")
        }
        (Place::Elsewhere, ..) => good("nothing ends a run: this shell is in no login session"),
        (Place::Session, true, true) => Finding::hint(
            "logout",
            "ends a run that is started here, lingering or not (logind.conf: KillUserProcesses)",
            format!("`{SCOPE}`"),
        ),
        (Place::Session, true, false) => Finding::hint(
            "logout",
            "ends a run that is started here (logind.conf: KillUserProcesses)",
            format!("`loginctl enable-linger`, then `{SCOPE}`"),
        ),
        (Place::Manager, _, false) => Finding::hint(
            "logout",
            "the last one ends a run that is started here: this shell is below your user manager",
            "`loginctl enable-linger` lets that go on",
        ),
    }
}

/// What has this process, and what it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The scope of a login session.
    Session,
    /// The user's manager, as `systemd-run --user`, desktops and tmux have it.
    Manager,
    /// A system service, a scheduler's job, a container.
    Elsewhere,
}

/// The place that `/proc/self/cgroup` tells; of several hierarchies, systemd's own names it.
fn place(cgroup: &str) -> Place {
    let has = |start: &str, end: &str| {
        cgroup
            .split(['/', '\n'])
            .any(|part| part.starts_with(start) && part.ends_with(end))
    };
    if has("user@", ".service") {
        Place::Manager
    } else if has("session-", ".scope") {
        Place::Session
    } else {
        Place::Elsewhere
    }
}

/// Whose slice that is.
fn owner(cgroup: &str) -> Option<u32> {
    cgroup.split(['/', '\n']).find_map(|part| {
        let uid = part.strip_prefix("user-")?.strip_suffix(".slice")?;
        uid.parse().ok()
    })
}

fn name_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id: u32 = fields.nth(1)?.parse().ok()?;
        (id == uid).then(|| name.to_owned())
    })
}

/// What logind does with the processes of a session that has ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Logind {
    kill: bool,
    only: Vec<String>,
    /// Nothing said is not the same as an empty list: it spares root.
    exclude: Option<Vec<String>>,
}

impl Logind {
    /// What the files say, the weakest first.
    fn read(texts: &[String]) -> Self {
        let mut told = Self::default();
        texts.iter().for_each(|text| told.take(text));
        told
    }

    /// A later line overrides; one that says nothing intelligible is as if it were not there (systemd.syntax(7)).
    fn take(&mut self, text: &str) {
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                section = name.strip_suffix(']').unwrap_or_default();
            }
            let Some((key, value)) = line.split_once('=').filter(|_| section == "Login") else {
                continue;
            };
            let value = value.trim();
            match key.trim() {
                "KillUserProcesses" => self.kill = truth(value).unwrap_or(self.kill),
                "KillOnlyUsers" => add(&mut self.only, value),
                "KillExcludeUsers" => add(self.exclude.get_or_insert_default(), value),
                _ => {}
            }
        }
    }

    /// Whether the processes of this user's sessions are ended.
    fn ends(&self, user: &str) -> bool {
        let spared = match &self.exclude {
            None => user == "root",
            Some(users) => users.iter().any(|name| name == user),
        };
        if spared || self.only.is_empty() {
            return self.kill && !spared;
        }
        // As logind has it, these are ended whatever KillUserProcesses says.
        self.only.iter().any(|name| name == user)
    }
}

/// Adds names to a list; none at all empties it.
fn add(list: &mut Vec<String>, value: &str) {
    if value.is_empty() {
        list.clear();
    }
    list.extend(value.split_whitespace().map(str::to_owned));
}

fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// logind's files in the order in which they count: the strongest main file alone, then the drop-ins by name, where a
/// stronger place hides what has the same name in a weaker one.
fn texts(root: &Path) -> Vec<String> {
    let places = PLACES.map(|place| root.join(place));
    let main = places
        .iter()
        .rev()
        .find_map(|place| text(&place.join("logind.conf")));
    let mut drop_ins = BTreeMap::new();
    for place in &places {
        let entries = fs::read_dir(place.join("logind.conf.d"));
        for entry in entries.into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "conf") {
                drop_ins.insert(entry.file_name(), path);
            }
        }
    }
    let drop_ins = drop_ins.values().filter_map(|path| text(path));
    main.into_iter().chain(drop_ins).collect()
}

/// A file that is there and may be read; a letter in some old encoding hides nothing else.
fn text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    fn read(texts: &[&str]) -> Logind {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        Logind::read(&texts)
    }

    #[test]
    fn the_switch_is_read_as_systemd_reads_it() {
        let kill = |text: &str| read(&[text]).kill;
        for yes in ["yes", "true", "1", "on", "YES", "  yes\t", "y", "t"] {
            assert!(
                kill(&format!("[Login]\nKillUserProcesses={yes}\n")),
                "{yes}"
            );
        }
        for no in ["no", "false", "0", "off", "", "maybe", "yes # a remark"] {
            assert!(!kill(&format!("[Login]\nKillUserProcesses={no}\n")), "{no}");
        }
        assert!(kill("# x\n\n  [Login]\r\n \tKillUserProcesses \t= yes\r\n"));
        for text in [
            "",
            "KillUserProcesses=yes",
            "[Login]\n#KillUserProcesses=yes\n ; KillUserProcesses=yes",
            "[Manager]\nKillUserProcesses=yes",
            "[Login]\n[Sleep]\nKillUserProcesses=yes",
            "[Login\nKillUserProcesses=yes",
            "[Login]\nkilluserprocesses=yes\nKillUserProcesses\n=yes\n[",
        ] {
            assert!(!kill(text), "{text}");
        }
    }

    #[test]
    fn a_later_word_overrides_and_an_unclear_one_does_not() {
        let (yes, no) = (
            "[Login]\nKillUserProcesses=yes",
            "[Login]\nKillUserProcesses=no",
        );
        assert!(read(&[no, yes]).kill && !read(&[yes, no]).kill);
        assert!(!read(&[&format!("{yes}\nKillUserProcesses=no")]).kill);
        assert!(read(&[yes, "[Login]\nKillUserProcesses=perhaps", ""]).kill);
        // A section does not go on in the next file.
        assert!(!read(&["[Login]", "KillUserProcesses=yes"]).kill);
    }

    #[test]
    fn some_users_are_spared_and_some_are_meant() {
        let yes = "[Login]\nKillUserProcesses=yes\n";
        let ends = |more: &str, user: &str| read(&[yes, &format!("[Login]\n{more}")]).ends(user);
        assert!(ends("", "alice") && !ends("", "root") && ends("", ""));
        assert!(ends("KillExcludeUsers=", "root"));
        assert!(ends("KillExcludeUsers=bob alice", "root"));
        assert!(!ends("KillExcludeUsers=bob alice", "alice"));
        assert!(!ends("KillExcludeUsers=bob\nKillExcludeUsers=alice", "bob"));
        assert!(ends("KillExcludeUsers=bob\nKillExcludeUsers=", "bob"));
        assert!(ends("KillOnlyUsers=bob", "bob") && !ends("KillOnlyUsers=bob", "alice"));
        assert!(read(&["[Login]\nKillOnlyUsers=bob"]).ends("bob"));
        assert!(!ends("KillOnlyUsers=bob\nKillExcludeUsers=bob", "bob"));
        assert!(!read(&[]).ends("alice"));
    }

    #[test]
    fn files_count_in_the_order_that_systemd_gives_them() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &[u8]| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let is = |wanted: &[&str]| assert_eq!(texts(root.path()), wanted);
        is(&[]);
        put("usr/lib/systemd/logind.conf", b"vendor");
        is(&["vendor"]);
        put("run/systemd/logind.conf", b"run");
        is(&["run"]);
        put("etc/systemd/logind.conf", b"etc");
        is(&["etc"]);
        put("etc/systemd/logind.conf.d/10-a.conf", b"a of etc");
        put("run/systemd/logind.conf.d/50-c.conf", b"c of run");
        put("usr/lib/systemd/logind.conf.d/20-b.conf", b"b of usr");
        put("etc/systemd/logind.conf.d/30-no.conf.bak", b"never");
        is(&["etc", "a of etc", "b of usr", "c of run"]);
        put("run/systemd/logind.conf.d/20-b.conf", b"b of run");
        put("etc/systemd/logind.conf.d/50-c.conf", b"c of etc \xfc");
        is(&["etc", "a of etc", "b of run", "c of etc \u{fffd}"]);
        // How an administrator takes a drop-in out.
        fs::remove_file(root.path().join("etc/systemd/logind.conf.d/50-c.conf")).unwrap();
        let link = root.path().join("etc/systemd/logind.conf.d/50-c.conf");
        std::os::unix::fs::symlink("/dev/null", link).unwrap();
        is(&["etc", "a of etc", "b of run", ""]);
    }

    #[test]
    fn a_cgroup_tells_place_and_owner() {
        let session = "0::/user.slice/user-1000.slice/session-3.scope\n";
        let manager = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r5.scope\n";
        let old = "9:cpu:/\n1:name=systemd:/user.slice/user-7.slice/session-c2.scope\n0::/\n";
        let job = "0::/system.slice/slurmstepd.scope/job_12/step_0/user/task_0\n";
        assert_eq!(
            (place(session), owner(session)),
            (Place::Session, Some(1000))
        );
        assert_eq!(
            (place(manager), owner(manager)),
            (Place::Manager, Some(1000))
        );
        assert_eq!((place(old), owner(old)), (Place::Session, Some(7)));
        assert_eq!((place(job), owner(job)), (Place::Elsewhere, None));
        assert_eq!(
            (place(""), owner("/user-x.slice")),
            (Place::Elsewhere, None)
        );
        let passwd = "root:x:0:0::/root:/bin/sh\n+\nbad:x\nalice:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_of(1000, passwd).as_deref(), Some("alice"));
        assert_eq!(name_of(0, passwd).as_deref(), Some("root"));
        assert_eq!(name_of(1, passwd), None);
    }

    #[test]
    fn what_would_end_a_run_has_a_remedy() {
        let remedy = |place, ends, lingers| {
            let told = words(place, ends, lingers);
            assert!(told.good && told.what == "logout");
            told.remedy.unwrap_or_default()
        };
        assert_eq!(remedy(Place::Session, true, true), format!("`{SCOPE}`"));
        let both = remedy(Place::Session, true, false);
        assert!(
            both.contains("enable-linger") && both.contains(SCOPE),
            "{both}"
        );
        for lingers in [false, true] {
            assert_eq!(remedy(Place::Session, false, lingers), "");
            assert_eq!(remedy(Place::Elsewhere, true, lingers), "");
        }
        for ends in [false, true] {
            assert_eq!(remedy(Place::Manager, ends, true), "");
            assert!(remedy(Place::Manager, ends, false).contains("enable-linger"));
        }
        assert!(
            words(Place::Session, true, true)
                .found
                .contains("lingering or not")
        );
    }
}
