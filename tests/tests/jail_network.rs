//! A command and the network (attacks.md 2.5). The verdict is the listener's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use strongroom_tests::{Place, Session, Setup, eventually, places};

const ANY: &str = r#"
version = 1
extends = ["builtin:defaults"]
[profile.worker]
network = "NETWORK"
[[rule]]
name = "anything"
match = ["..."]
profile = "worker"
action = "allow"
"#;

fn visits(listener: &TcpListener) -> usize {
    listener.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| listener.accept().ok()).count()
}

places! {
    /// N01, N04: no TCP to anybody, refused at once.
    all fn tcp(place) {
        let session = Session::new(place);
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = v4.local_addr().unwrap().port();
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok();
        let began = Instant::now();
        let steps = session.attack("tcp", &[&port.to_string()]).ok().steps();
        for step in ["v4", "v6", "mapped", "mptcp", "fastopen", "fastopen-option", "smc"] {
            assert!(steps.of(step) < 0, "{step}: {steps:#?}");
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(visits(&v4) + v6.iter().map(visits).sum::<usize>(), 0);
        let control = session.unjailed("tcp", &[&port.to_string()]);
        control.works("v4");
        assert!(visits(&v4) >= 1);
    }

    /// N02, N03: no datagrams, no raw packets.
    all fn udp_and_raw(place) {
        let session = Session::new(place);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        let steps = session.attack("udp", &[&port]).ok().steps();
        for (step, result) in &steps.0 {
            assert!(*result < 0, "{step}: {steps:#?}");
        }
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 16]).is_err(), "a datagram arrived");
        session.unjailed("udp", &[&port]).works("udp");
        assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 3);
    }

    /// N30: nobody outside can visit a command.
    all fn inbound(place) {
        let session = Session::new(place);
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let helper = session.hostile("listen");
        let job = session.spawn(&[], &[helper, free.to_string()], b"");
        let _ = eventually(Duration::from_millis(300), || session.ws.join("listening").exists());
        assert!(TcpStream::connect(("127.0.0.1", free)).is_err(), "a command takes visitors");
        let steps = session.wait(&job).ok().steps();
        assert!(steps.of("visited") <= 0, "{steps:#?}");
    }

    /// A loopback of one's own: commands can talk to themselves, and only to
    /// themselves.
    private fn loopback(place) {
        let session = Setup::new(place).policy(&ANY.replace("NETWORK", "loopback")).start();
        let outside = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = outside.local_addr().unwrap().port();
        let talk = "import socket,threading\ns=socket.create_server(('127.0.0.1',0))\nthreading.Thread(target=lambda: s.accept()[0].sendall(b'hello')).start()\nprint(socket.create_connection(s.getsockname()).recv(9).decode())";
        assert_eq!(session.exec(&["/usr/bin/python3", "-c", talk]).ok().text(), "hello");
        let steps = session.attack("tcp", &[&port.to_string()]).ok().steps();
        for step in ["v4", "v6", "mapped", "mptcp", "fastopen", "smc"] {
            assert!(steps.of(step) < 0, "{step}: {steps:#?}");
        }
        assert_eq!(visits(&outside), 0);
        // Two commands have a loopback each.
        let job = session.spawn(&[], &["/usr/bin/python3", "-c", &format!("import socket,time\ns=socket.create_server(('127.0.0.1',{port}));print('up',flush=True);time.sleep(1)")], b"");
        std::thread::sleep(Duration::from_millis(500));
        assert!(session.attack("tcp", &[&port.to_string()]).steps().of("v4") < 0);
        assert_eq!(session.wait(&job).text(), "up");
    }

    /// Without namespaces there is no such thing, and the policy is refused.
    shared fn loopback_is_refused(place) {
        let output = Setup::new(place).policy(&ANY.replace("NETWORK", "loopback")).run();
        assert_eq!(output.status.code(), Some(78));
        assert!(String::from_utf8_lossy(&output.stderr).contains("SR703"), "{output:?}");
    }

    /// An open network is TCP and UDP, and still none of the doors around it.
    all fn open(place) {
        let session = Setup::new(place).policy(&ANY.replace("NETWORK", "open")).start();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let steps = session.attack("tcp", &[&port]).ok().steps();
        steps.works("v4");
        for step in ["mptcp", "fastopen", "fastopen-option", "smc"] {
            assert!(steps.of(step) < 0, "{step}: {steps:#?}");
        }
        assert_eq!(visits(&listener), 1 + usize::from(steps.of("mapped") >= 0));
        let steps = session.attack("udp", &[&port]).ok().steps();
        steps.works("udp");
        for step in ["ping", "raw", "raw-udp", "packet", "sctp", "vsock", "alg", "udplite"] {
            assert!(steps.of(step) < 0, "{step}: {steps:#?}");
        }
        // Whoever has the network still has the jail (Y26).
        let status = session.exec(&["cat", "/proc/self/status"]).ok().text();
        assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
        let canary = session.canary();
        assert!(!session.exec(&["cat", canary.path()]).everything().contains(&canary.secret));
    }

    /// Netlink shows interfaces, which a network namespace makes its own.
    all fn interfaces(place) {
        let session = Session::new(place);
        let listed = session.sh("ls /sys/class/net /proc/sys/net 2>/dev/null; cat /proc/net/dev").text();
        if place == Place::Full || place == Place::FullUser {
            assert!(!listed.contains("eth0") && !listed.contains("ens"), "{listed}");
        }
    }
}
