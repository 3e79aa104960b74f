//! The folder changed while it is watched.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::limits;
use crate::vitals::Standing;

/// Waits until the condition holds; how long it took.
async fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}

/// What a mended file may take, and as much again for a busy machine.
const LIVE: Duration = Duration::from_secs(6);

struct Watched {
    policy: Arc<Policy>,
    vitals: Arc<Vitals>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Watched {
    async fn start(folder: &Path) -> Self {
        let options = options(folder);
        let vitals = options.vitals.clone();
        let policy = Arc::new(Policy::load(options).expect("sound files"));
        let stop = CancellationToken::new();
        let task = tokio::task::spawn(policy.clone().run(stop.clone()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        Self { policy, vitals, stop, task }
    }

    fn may(&self, subject: &str) -> bool {
        self.policy.authorise(&caller("acme", subject, "acme"), Action::Read, &Resource::sensor("a")).is_ok()
    }

    fn state(&self) -> (Standing, Value) {
        let report = self.vitals.board().remove("policy").expect("a report");
        (report.standing, report.details)
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task).await.expect("it stops").expect("it ends well");
    }
}

#[tokio::test]
async fn a_broken_edit_changes_nothing_and_a_mended_one_is_live() {
    let folder = folder(&[("roles.csv", ANY), ("tenants/acme.csv", "g, user:x, reader, acme\n")]);
    let watched = Watched::start(folder.path()).await;
    let first = watched.policy.revision();
    assert!(watched.may("user:x") && !watched.may("user:y"));

    write(folder.path(), "tenants/acme.csv", "g, user:y, reader, acme\np, reader, acme, /timescale/**, read, Deny\n");
    within(LIVE, || watched.state().0 == Standing::Degraded).await;
    let (_, details) = watched.state();
    assert!(details["file"].as_str().is_some_and(|file| file.ends_with("/tenants/acme.csv")), "{details}");
    assert_eq!((&details["line"], &details["message"]), (&2.into(), &"unknown effect `Deny`; write `deny`".into()));
    assert_eq!(details["revision"], Value::from(&*first));
    assert!(watched.may("user:x") && !watched.may("user:y") && watched.policy.revision() == first);

    write(folder.path(), "tenants/acme.csv", "g, user:y, reader, acme\n");
    let took = within(LIVE, || watched.may("user:y")).await;
    println!("a mended file was live after {took:?}");
    assert!(!watched.may("user:x") && watched.policy.revision() != first);
    within(LIVE, || watched.state().0 == Standing::Connected).await;
    assert_eq!(watched.state().1["revision"], Value::from(&*watched.policy.revision()));

    // Without its model the folder counts for nothing; put back as it was, it is sound again.
    fs::rename(folder.path().join("model.conf"), folder.path().join("model.conf.bak")).expect("renamed");
    within(LIVE, || watched.state().0 == Standing::Degraded).await;
    fs::rename(folder.path().join("model.conf.bak"), folder.path().join("model.conf")).expect("renamed");
    within(LIVE, || watched.state().0 == Standing::Connected).await;
    assert!(watched.may("user:y"));
    let loads = |kind| watched.vitals.policy_loads.get_or_create(&Word { kind }).get();
    assert_eq!((loads("loaded"), loads("refused")), (3, 2));
    watched.end().await;
}

#[tokio::test]
async fn files_changed_together_are_one_change() {
    let folder =
        folder(&[("roles.csv", "p, old, *, /timescale/**, read, allow\n"), ("tenants/acme.csv", "g, user:x, old, acme\n")]);
    let watched = Watched::start(folder.path()).await;
    let loaded = || watched.vitals.policy_loads.get_or_create(&Word { kind: "loaded" }).get();
    // Between the two writes user:x would have no role that gives anything.
    write(folder.path(), "roles.csv", "p, new, *, /timescale/**, read, allow\np, new, *, /storage/**, read, allow\n");
    tokio::time::sleep(Duration::from_millis(60)).await;
    write(folder.path(), "tenants/acme.csv", "g, user:x, new, acme\n");
    within(LIVE, || {
        assert!(watched.may("user:x"), "never denied in between");
        loaded() == 2
    })
    .await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(loaded(), 2, "one change, and Weir's own reading is none");
    watched.end().await;
}

#[tokio::test]
async fn links_swapped_like_a_config_map_are_seen() {
    let folder = folder(&[]);
    let at = |name: &str| folder.path().join(name);
    for (version, subject) in [("..1", "user:x"), ("..2", "user:y")] {
        fs::create_dir(at(version)).expect("a folder");
        fs::write(at(version).join("x.csv"), format!("p, {subject}, acme, /timescale/**, read, allow\n")).expect("written");
    }
    std::os::unix::fs::symlink("..1", at("..data")).expect("a link");
    std::os::unix::fs::symlink("..data/x.csv", at("x.csv")).expect("a link");
    let watched = Watched::start(folder.path()).await;
    assert!(watched.may("user:x"));
    std::os::unix::fs::symlink("..2", at("..data_tmp")).expect("a link");
    fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    within(LIVE, || watched.may("user:y")).await;
    assert!(!watched.may("user:x"));

    // The folder itself, put in the place of another: no event tells of it.
    let other = self::folder(&[("x.csv", "p, user:z, acme, /timescale/**, read, allow\n")]);
    let aside = folder.path().with_extension("aside");
    fs::rename(folder.path(), &aside).expect("moved aside");
    fs::rename(other.path(), folder.path()).expect("moved in");
    within(LIVE, || watched.may("user:z")).await;
    watched.end().await;
    fs::remove_dir_all(aside).expect("removed");
}

/// Edits that are whole files put in place, files written in two goes, two files that belong together, and a third of all broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_edits_under_load_are_never_seen_by_half() {
    const EDITS: usize = 1_000;
    let folder = folder(&[("roles.csv", ANY), ("tenants/acme.csv", "g, user:x, reader, acme\n")]);
    let watched = Watched::start(folder.path()).await;
    let done = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..2)
        .map(|asker| {
            let (policy, done) = (Arc::clone(&watched.policy), Arc::clone(&done));
            std::thread::spawn(move || {
                let (mut seen, mut asked) = (HashSet::new(), 0_u64);
                while !done.load(Ordering::Relaxed) {
                    let sensor = Resource::sensor(&format!("room-{asked}"));
                    let decision = policy.authorise(&caller("acme", ["user:x", "user:y"][asker], "acme"), Action::Read, &sensor);
                    seen.insert(match decision {
                        Ok(permit) => permit.revision().clone(),
                        Err(denied) => denied.revision,
                    });
                    asked += 1;
                    if asked % 64 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                (seen, asked)
            })
        })
        .collect();
    let root = folder.path().to_owned();
    let editing = tokio::task::spawn_blocking(move || {
        let whole = |set: &mut HashSet<Arc<str>>| {
            let snapshot = Snapshot::read(&root).expect("readable");
            if snapshot.assemble().is_ok() {
                set.insert(snapshot.revision);
            }
        };
        let mut sound = HashSet::new();
        whole(&mut sound);
        let pause = |milliseconds| std::thread::sleep(Duration::from_millis(milliseconds));
        // Between two writes; on a machine that stands still for as long as files have to rest, what is there by then is whole.
        let between = |set: &mut HashSet<Arc<str>>| {
            let started = Instant::now();
            pause(4);
            if started.elapsed() > limits::POLICY_STEADY / 2 {
                whole(set);
            }
        };
        for edit in 0..EDITS {
            let broken = if edit % 3 == 2 { "p, reader, acme, /storage/**, read, Deny\n" } else { "" };
            let rules = format!("# edit {edit}\ng, user:x, reader, acme\ng, user:{edit}, reader, acme\n{broken}");
            match edit % 4 {
                // As a careful editor does it.
                0 | 1 => {
                    fs::write(root.join("tenants/.acme.csv.new"), &rules).expect("written");
                    fs::rename(root.join("tenants/.acme.csv.new"), root.join("tenants/acme.csv")).expect("renamed");
                }
                // As most do it: for a moment there is half of it, and that half is sound.
                2 => {
                    let half = rules.len() / 2;
                    fs::write(root.join("tenants/acme.csv"), &rules[..half]).expect("written");
                    between(&mut sound);
                    fs::write(root.join("tenants/acme.csv"), &rules).expect("written");
                }
                // Two that belong together.
                _ => {
                    fs::write(root.join("roles.csv"), format!("# edit {edit}\n{ANY}p, reader, *, /storage/**, read, allow\n"))
                        .expect("written");
                    between(&mut sound);
                    fs::write(root.join("tenants/acme.csv"), &rules).expect("written");
                }
            }
            whole(&mut sound);
            // Mostly the files rest too short to be read in peace; now and then they do.
            pause(if edit % 40 == 39 { 450 } else { 25 });
        }
        sound
    });
    let sound = editing.await.expect("the edits end");
    tokio::time::sleep(Duration::from_secs(2)).await;
    done.store(true, Ordering::Relaxed);
    let mut revisions = HashSet::new();
    for asker in askers {
        let (seen, asked) = asker.join().expect("it ends");
        assert!(asked > 1_000, "{asked}");
        revisions.extend(seen);
    }
    let halves: Vec<_> = revisions.difference(&sound).collect();
    assert!(halves.is_empty(), "{halves:?} of {} revisions were no whole ones", revisions.len());
    assert!(revisions.len() > 10, "only {} revisions were live", revisions.len());
    watched.end().await;
}
