//! The recipes of README.md, as they stand there: private instances of Postfix are built from its own blocks.
//!
//! Only names and paths are replaced: the next hop, the domain, the runtime directory, where files are, and (for the
//! command of pipe(8)) the executable and its user. A block that is not in README.md any more, or has nothing to
//! replace where something must be, fails the test.

use crate::log::Mark;
use crate::mail::{Mail, body};
use crate::needs::{Need, met};
use crate::pipelane::executable_for_everybody;
use crate::place::{Place, tail, wait};
use crate::postfix::{DOMAIN, Postfix, Setup};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const README: &str = include_str!("../../README.md");

/// The block of README.md whose first line is `# name`, without that line.
pub fn block(name: &str) -> String {
    let head = format!("\n# {name}\n");
    let mut found = README.split("\n```").filter_map(|block| {
        let at = block.find(&head)?;
        let opens_block = !block[..at].contains('\n');
        opens_block.then(|| block[at + head.len()..].to_owned() + "\n")
    });
    let block = found.next().unwrap_or_else(|| panic!("README.md has no block \"# {name}\""));
    assert_eq!(found.next(), None, "README.md has two blocks \"# {name}\"");
    block
}

/// The text with another word in every place of this one, of which there is at least one.
pub fn with(text: &str, word: &str, other: &str) -> String {
    assert!(text.contains(word), "\"{word}\" is not in:\n{text}");
    text.replace(word, other)
}

/// `pipelane serve` by the recipe, as a user who is in the mail server's group, as the systemd unit runs it.
pub struct Served {
    child: Child,
    place: Place,
    executable: PathBuf,
    next_hop: String,
}

impl Served {
    /// For a mail server of this group.
    pub fn start(next_hop: &str, group: &str) -> Served {
        let place = Place::new();
        let executable = executable_for_everybody(&place);
        let run = place.folder("run");
        place.give("run", "65534:65534");
        let text = with(&block("/etc/pipelane/pipelane.toml"), "[relay.example.net]:25", next_hop);
        let text = with(&text, "\"postfix\"", &format!("\"{group}\""));
        // A table of its own would be a second [listen].
        let text = with(&text, "[listen]\n", &format!("[listen]\nruntime_directory = \"{}\"\n", run.display()));
        let config = place.write("pipelane.toml", &text);
        let output = fs::File::create(place.path().join("output")).expect("an own file");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--groups", group, "--pdeathsig", "KILL", "--"]);
        command.arg(&executable).arg("serve").arg("-c").arg(config).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a second handle")).stderr(output);
        let child = command.spawn().expect("setpriv(1) of util-linux");
        let served = Served { child, place, executable, next_hop: next_hop.to_owned() };
        // Not connected to: the sockets are there once it says so.
        wait("pipelane to be ready", LIMIT, || served.output(), || served.output().contains("ready:").then_some(()));
        served
    }

    /// What it has said.
    pub fn output(&self) -> String {
        tail(&self.place.path().join("output"), 30)
    }

    /// Its runtime directory.
    pub fn runtime(&self) -> String {
        self.place.path().join("run").display().to_string()
    }

    /// A sending Postfix by the blocks with this ending (`""` or `" (pipe)"`), its services changed by `change`.
    fn sending(&self, ending: &str, change: impl Fn(String) -> String) -> Postfix {
        let name = |file: &str| format!("/etc/postfix/{file}{ending}");
        let transport = with(&block(&name("transport")), "[relay.example.net]:25", &self.next_hop);
        let transport = with(&transport, "example.org", DOMAIN).replace("/run/pipelane", &self.runtime());
        let file = self.place.write(&format!("transport{}", ending.trim()), &(transport + "* discard:\n"));
        let main = block(&name("main.cf"));
        let maps = "transport_maps = texthash:/etc/postfix/transport";
        let own_maps = format!("transport_maps = texthash:{}", file.display());
        let main = if ending.is_empty() { with(&main, maps, &own_maps) } else { main + &own_maps };
        Postfix::start(Setup::default().main(&main).master(&change(block(&name("master.cf")))))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.output());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One message to four recipients, of whom one is refused and one put off.
fn check(receiving: &Postfix, sending: &Postfix, service: &str) {
    let recipients = ["a@example.test", "reject-550@example.test", "defer-450@example.test", "b@example.test"];
    let mail = Mail::new("recipe", &recipients, &body(9, 4000));
    sending.submit(std::slice::from_ref(&mail));
    let verdicts = sending.wait_verdicts(Mark::default(), recipients.len(), LIMIT);
    for (recipient, status) in recipients.iter().zip(["sent", "bounced", "deferred", "sent"]) {
        let of_it = verdicts.iter().find(|one| one.to == *recipient);
        let verdict = of_it.unwrap_or_else(|| panic!("no result for {recipient}: {verdicts:?}"));
        assert_eq!((verdict.status.as_str(), verdict.service.as_str()), (status, service), "{verdict:?}");
    }
    receiving.drain(LIMIT);
    receiving.maildir().tally(&[mail]).assert_exactly_once();
}

#[test]
fn the_lmtp_recipe_of_the_readme_works() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let served = Served::start(&receiving.next_hop(), "postfix");
    let sending = served.sending("", |services| services);
    check(&receiving, &sending, "postfix/lanes/lmtp");
}

#[test]
fn the_pipe_recipe_of_the_readme_works() {
    if !met(&[Need::Postfix]) {
        return;
    }
    let receiving = Postfix::receiving();
    let served = Served::start(&receiving.next_hop(), "postfix");
    let sending = served.sending(" (pipe)", |services| {
        let services = with(&services, "/usr/local/bin/pipelane", &served.executable.display().to_string());
        let services = with(&services, "user=pipelane", "user=nobody");
        with(&services, "--via /run/pipelane", &format!("--via {}", served.runtime()))
    });
    check(&receiving, &sending, "postfix/pipe");
}
