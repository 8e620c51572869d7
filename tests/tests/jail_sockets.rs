//! A command and sockets outside its jail (attacks.md 2.4). The verdict is the
//! listener's: did anything arrive?
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::time::Duration;

use strongroom_tests::outside::{own, random_name};
use strongroom_tests::{Place, Session, places};

/// A listener, and how often it was visited.
fn visits(listener: &UnixListener) -> usize {
    listener.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| listener.accept().ok()).count()
}

/// How many datagrams arrived.
fn arrivals(socket: &UnixDatagram) -> usize {
    socket.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| socket.recv(&mut [0; 16]).ok()).count()
}

fn open_to_all(path: &Path, place: Place) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    own(path, place.sandbox());
}

places! {
    /// S01 to S04: services of the host behind a path (Docker, D-Bus, syslog).
    all fn pathname_sockets(place) {
        let session = Session::new(place);
        let stream_path = session.outside().join("docker.sock");
        let dgram_path = session.outside().join("log.sock");
        let stream = UnixListener::bind(&stream_path).unwrap();
        let dgram = UnixDatagram::bind(&dgram_path).unwrap();
        open_to_all(&stream_path, place);
        open_to_all(&dgram_path, place);
        for path in [&stream_path, &dgram_path] {
            let steps = session.attack("unix", &[path.to_str().unwrap()]).ok().steps();
            steps.works("control-pair");
            for step in
                ["stream", "seqpacket", "dgram", "sendto", "sendmsg", "sendmmsg", "pair", "pair-sendto", "pair-stream"]
            {
                assert!(steps.of(step) < 0, "{step} {path:?}: {steps:#?}");
            }
            // The agent is no closer to them.
            let helper = session.hostile("unix");
            let agents = session.agent(&format!("{helper} {}", path.display())).steps();
            assert!(["stream", "seqpacket", "dgram", "sendto"].iter().all(|s| agents.of(s) < 0), "{agents:#?}");
        }
        assert_eq!((visits(&stream), arrivals(&dgram)), (0, 0));
        let _ = session.unjailed("unix", &[stream_path.to_str().unwrap()]);
        let _ = session.unjailed("unix", &[dgram_path.to_str().unwrap()]);
        assert!(visits(&stream) >= 1 && arrivals(&dgram) >= 2, "the control reaches nothing");
    }

    /// S05: abstract sockets.
    all fn abstract_sockets(place) {
        let session = Session::new(place);
        let name = random_name("abstract");
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let steps = session.attack("abstract", &[&name]).ok().steps();
        assert!(steps.of("connect") < 0 && steps.of("sendto") < 0, "{steps:#?}");
        assert_eq!(visits(&listener), 0);
        let _ = session.unjailed("abstract", &[&name]);
        assert_eq!(visits(&listener), 1, "the control does not connect");
    }

    /// S03: every socket that /proc/net/unix of the host lists, the broker's
    /// and the operator's among them.
    all fn every_listed_socket(place) {
        let session = Session::new(place);
        let listed = std::fs::read_to_string("/proc/net/unix").unwrap();
        let paths: Vec<&str> = listed
            .lines()
            .filter_map(|l| l.split_whitespace().nth(7))
            // Not those of tests that run beside this one: who names their folder
            // counts as left behind by them, and is killed.
            .filter(|p| p.starts_with('/') && !p.contains("/srt-"))
            .take(40)
            .collect();
        let own: Vec<String> = ["agent.sock", "operator.sock"]
            .iter()
            .map(|s| session.state.join("run").join(s).to_str().unwrap().to_owned())
            .collect();
        for path in paths.into_iter().chain(own.iter().map(String::as_str)) {
            let steps = session.attack("unix", &[path]).ok().steps();
            assert!(["stream", "seqpacket", "dgram", "sendto"].iter().all(|s| steps.of(s) < 0), "{path}: {steps:#?}");
        }
        session.exec(&["true"]).ok();
    }

    /// I9: the agent cannot reach the operator's channel, nor can a worker
    /// that brings the client along.
    all fn operators_channel(place) {
        let session = Session::new(place);
        let state = session.state.to_str().unwrap();
        for verb in ["status", "kill --all", "kill --shutdown"] {
            let ran = session.agent(&format!("strongroom {verb} --state {state}"));
            assert_ne!(ran.exit, 0, "{ran:?}");
        }
        let client = session.in_ws("client");
        std::fs::copy(strongroom_tests::setup::programs().join("strongroom"), &client).unwrap();
        let ran = session.sh(&format!("STRONGROOM_SOCKET={state}/run/agent.sock {client} exec -- true; {client} status --state {state}; {client} kill --all --state {state}"));
        assert_ne!(ran.exit, 0, "{ran:?}");
        assert!(ran.everything().contains("SR503") || ran.everything().contains("SR6"), "{ran:?}");
        // The operator can.
        assert!(session.operator(&["status"]).status.success());
        session.exec(&["true"]).ok();
    }

    /// S13: two commands at once share no channel: no descriptor, no abstract
    /// name, no shared memory but what the policy gives.
    all fn between_siblings(place) {
        let session = Session::new(place);
        let name = random_name("squat");
        let script = format!(
            "import socket,time,sys\ntry:\n s=socket.socket(socket.AF_UNIX); s.bind('\\0{name}'); s.listen(); print('bound', flush=True); s.settimeout(1.5)\n s.accept(); print('met')\nexcept OSError as e: print('no', e.errno)"
        );
        let first = session.spawn(&[], &["/usr/bin/python3", "-c", &script], b"");
        std::thread::sleep(Duration::from_millis(500));
        let steps = session.attack("abstract", &[&name]).ok().steps();
        assert!(steps.of("connect") < 0, "{steps:#?}");
        let ran = session.wait(&first);
        assert!(!ran.text().contains("met"), "{ran:?}");
    }
}
