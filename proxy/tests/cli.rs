//! The command line: what it takes, and with which code it ends.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{net::TcpListener, path::PathBuf, process::Command};

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str]) -> Ran {
    let output = Command::new(support::process::binary()).args(arguments).output().unwrap();
    Ran {
        code: output.status.code().expect("a signal killed it"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("servers.txt");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn every_error_of_the_servers_file_is_reported_at_once_with_its_line() {
    let (_folder, path) =
        file("http://a:1\nlocalhost:2\n# fine\nhttp://a:1\nhttp://b:99999 speed=3\n");
    let path = path.to_str().unwrap();
    for arguments in [vec!["-f", path], vec!["-f", path, "--check"]] {
        let ran = run(&arguments);
        assert_eq!(ran.code, 78);
        let lines: Vec<&str> = ran.stderr.lines().collect();
        let starts = [2, 4, 5, 5].map(|line| format!("{path}:{line}: "));
        assert_eq!(lines.len(), starts.len(), "{}", ran.stderr);
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(&start), "{line}");
        }
    }
}

#[test]
fn a_server_that_is_the_proxy_itself_is_refused() {
    for (server, bind) in [
        ("http://localhost:7999", "0.0.0.0"),
        ("http://127.0.0.1:7999", "127.0.0.1"),
        ("http://127.0.0.2:7999", "0.0.0.0"),
        ("https://[::1]:7999", "::"),
        ("http://localhost:7999", "127.0.0.1"),
    ] {
        let (_folder, path) = file(&format!("http://a:1\n{server}\n"));
        let path = path.to_str().unwrap();
        let ran = run(&["-f", path, "-p", "7999", "--bind", bind, "--check"]);
        assert_eq!(ran.code, 78, "{server} {bind}");
        let said = format!("{path}: {server} is where this proxy itself listens\n");
        assert_eq!(ran.stderr, said);
    }
    // Another port, another address, a name that only a resolver knows, another family.
    for (server, bind) in [
        ("http://localhost:7998", "0.0.0.0"),
        ("http://127.0.0.2:7999", "127.0.0.1"),
        ("http://other:7999", "0.0.0.0"),
        ("http://[::1]:7999", "0.0.0.0"),
        ("http://192.0.2.1:7999", "0.0.0.0"),
    ] {
        let (_folder, path) = file(server);
        let ran = run(&["-f", path.to_str().unwrap(), "-p", "7999", "--bind", bind, "--check"]);
        assert_eq!(ran.code, 0, "{server} {bind}: {}", ran.stderr);
    }
}

#[test]
fn a_file_that_is_not_there_is_bad_configuration() {
    let ran = run(&["-f", "/does/not/exist"]);
    assert_eq!(ran.code, 78);
    assert!(ran.stderr.starts_with("/does/not/exist: "), "{}", ran.stderr);
}

#[test]
fn what_is_no_servers_file_is_said_to_be_none() {
    for (bytes, said) in [
        (&b"http://a:1\n\x89PNG\r\n\x1a\n\0\xff"[..], ":2: this is no text"),
        (b"", ":1: there is no server in it"),
        (b"# none\n\n", ":2: there is no server in it"),
    ] {
        let (folder, path) = file("");
        std::fs::write(&path, bytes).unwrap();
        let name = path.to_str().unwrap();
        for arguments in [["-f", name], ["--config", name]] {
            let ran = run(&arguments);
            let empty = arguments[0] == "--config" && bytes[..1.min(bytes.len())] != *b"h";
            assert_eq!(ran.code, if empty { 64 } else { 78 }, "{arguments:?}: {}", ran.stderr);
            assert!(empty || ran.stderr.starts_with(&format!("{name}{said}")), "{}", ran.stderr);
        }
        let ran = run(&["-f", folder.path().to_str().unwrap()]);
        assert_eq!(ran.code, 78);
        assert!(ran.stderr.contains("cannot be read: Is a directory"), "{}", ran.stderr);
    }
}

#[test]
fn an_access_log_that_cannot_be_written_is_named_before_anything_starts() {
    let (folder, path) = file("http://localhost:8000\n");
    let servers = path.to_str().unwrap();
    let there = folder.path().join("access.log");
    let ran = run(&["-f", servers, "--check", "--access-log", there.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(!there.exists(), "a check leaves nothing behind");
    for nowhere in ["/does/not/exist/access.log", folder.path().to_str().unwrap()] {
        let ran = run(&["-f", servers, "--access-log", nowhere]);
        assert_eq!(ran.code, 78, "{}", ran.stderr);
        let start = format!("--access-log {nowhere}: ");
        assert!(ran.stderr.starts_with(&start), "{}", ran.stderr);
    }
}

#[test]
fn check_says_nothing_of_a_good_configuration_and_serves_nothing() {
    let (_folder, path) =
        file("http://localhost:8000 weight=2 name=a\nhttp://[::1]:1 max=3 backup\n");
    let ran = run(&["-f", path.to_str().unwrap(), "--check"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn bad_usage_ends_with_64() {
    let (_folder, path) = file("http://localhost:8000\n");
    let path = path.to_str().unwrap();
    for bad in [
        &["--no-such-flag"][..],
        &["--port", "65536"],
        &["--workers", "0"],
        &["--bind", "somewhere"],
        &["--admin", "example.org:7778"],
        &["--session", "maybe"],
        &["--session-idle", "0s"],
        &["--session-cookie", "a b"],
        &["--session-header", "a b"],
        &["--trusted-proxy", "10.0.0.0/40"],
        &["--proxy-protocol", "all"],
        &["--redis", "nonsense"],
        &["--algorithm", "fastest"],
        &["--sigma-z0", "-1"],
        &["--health", "maybe"],
        &["--health-path", "health"],
        &["--health-interval", "0s"],
        &["--affinity", "always"],
        &["--drain", "soon"],
    ] {
        let ran = run(&[&["-f", path, "--check"], bad].concat());
        assert_eq!(ran.code, 64, "{bad:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty());
    }
    assert_eq!(run(&[]).code, 64);
}

#[test]
fn help_and_version_go_to_stdout() {
    let ran = run(&["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for flag in ["--file", "--port", "--redis", "--session-secret-file", "--drain", "--check"] {
        assert!(ran.stdout.contains(flag), "{flag}");
    }
    assert!(run(&["--version"]).stdout.starts_with("rondel-proxy "));
}

#[test]
fn an_address_that_is_taken_ends_with_71() {
    let (_folder, path) = file("http://localhost:8000\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran = run(&["-f", path.to_str().unwrap(), "-p", &port, "--bind", "127.0.0.1"]);
    assert_eq!(ran.code, 71, "{}", ran.stderr);
}

#[test]
fn the_environment_stands_in_for_flags_and_a_flag_wins() {
    let (_folder, path) = file("http://localhost:8000\n");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(support::process::binary());
        command.env("RONDEL_FILE", &path).env("RONDEL_PORT", "none");
        command.arg("--check").args(arguments).output().unwrap().status.code()
    };
    assert_eq!(run(&[]), Some(64));
    assert_eq!(run(&["-p", "1"]), Some(0));
}

#[test]
fn a_configuration_file_names_servers_and_any_flag_and_is_outdone_by_environment_and_flags() {
    let (_folder, path) = file(
        "port = 70000\n\nworkers = 1\nsession-header = [\"x-a\", \"x-b\"]\ndemo = false\n\
         health-interval = \"1s\"\n[[servers]]\nurl = \"http://localhost:8000\"\nweight = 2\n",
    );
    let path = path.to_str().unwrap();
    let ran = run(&["--config", path, "--check"]);
    assert_eq!(ran.code, 78);
    assert!(ran.stderr.starts_with(&format!("{path}:1: ")), "{}", ran.stderr);

    let (_folder, path) =
        file("workers = 2\n[[servers]]\nurl = \"http://localhost:8000\"\nweight = 2\n");
    let path = path.to_str().unwrap();
    assert_eq!(run(&["--config", path, "--check"]).code, 0);
    // A file that is named by a flag is used instead of the [[servers]].
    assert_eq!(run(&["--config", path, "-f", "/does/not/exist", "--check"]).code, 78);
}

#[test]
fn every_error_of_a_configuration_file_is_reported_at_once_with_its_line() {
    let (_folder, path) = file(
        "speed = 3\nworkers = 0\nalgorithm = [\"rr\", \"sigma\"]\ndemo = \"yes\"\nconfig = \"x\"\n",
    );
    let path = path.to_str().unwrap();
    let ran = run(&["--config", path, "--check"]);
    assert_eq!(ran.code, 78);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ran.stderr);
    for (line, number) in lines.iter().zip(1..) {
        assert!(line.starts_with(&format!("{path}:{number}: ")), "{line}");
    }

    let (_folder, path) = file("port = 1\nport = 2\n[[servers]]\nurl = \"http://a:0\"\n");
    let ran = run(&["--config", path.to_str().unwrap(), "--check"]);
    assert_eq!(ran.code, 78);
    assert!(ran.stderr.contains(":2: "), "{}", ran.stderr);
    let (_folder, path) = file("port = 1\n");
    assert_eq!(run(&["--config", path.to_str().unwrap(), "--check"]).code, 64, "no servers");
}

#[test]
fn a_secret_that_could_be_guessed_is_refused() {
    let (_folder, servers) = file("http://localhost:8000\n");
    let (_folder, secret) = file("a long enough secret key\nshort\n");
    let secret = secret.to_str().unwrap();
    let ran = run(&["-f", servers.to_str().unwrap(), "--session-secret-file", secret, "--check"]);
    assert_eq!(ran.code, 78);
    assert!(ran.stderr.starts_with(&format!("{secret}:2: ")), "{}", ran.stderr);
    assert!(!ran.stderr.contains("short"), "a secret must not be printed");
}

#[test]
fn certificates_keys_and_authorities_that_cannot_be_used_are_named_with_their_file() {
    let (_folder, servers) = file("https://localhost:8000\n");
    let servers = servers.to_str().unwrap();
    let authority = support::tls::Authority::new();
    let (one, two) = (authority.issue("one", &["a"]), authority.issue("two", &["a"]));
    let (one_cert, one_key) = (one.cert.to_str().unwrap(), one.key.to_str().unwrap());
    let (two_cert, two_key) = (two.cert.to_str().unwrap(), two.key.to_str().unwrap());
    let ca = authority.file();
    let good = ["--tls-cert", one_cert, "--tls-key", one_key, "--ca", ca.to_str().unwrap()];
    let ran = run(&[&["-f", servers, "--check"][..], &good].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for (flags, file, why) in [
        (&["--tls-cert", "/none.crt", "--tls-key", one_key][..], "/none.crt", "No such file"),
        (&["--tls-cert", one_key, "--tls-key", one_key], one_key, "no certificate"),
        (&["--tls-cert", one_cert, "--tls-key", one_cert], one_cert, "no private key"),
        (&["--tls-cert", one_cert], one_cert, "no private key"),
        (&["--tls-cert", one_cert, "--tls-key", two_key], two_key, "cannot be used with"),
        (
            &["--tls-cert", one_cert, "--tls-cert", two_cert, "--tls-key", one_key],
            "--tls-cert",
            "same order",
        ),
        (&["--tls-key", one_key], "--tls-cert", "same order"),
        (&["--ca", servers], servers, "no certificate"),
        (&["--ca", "/none.pem"], "/none.pem", "No such file"),
    ] {
        let ran = run(&[&["-f", servers][..], flags].concat());
        assert_eq!(ran.code, 78, "{flags:?}");
        assert!(ran.stderr.starts_with(file) && ran.stderr.contains(why), "{}", ran.stderr);
    }
    // All of them at once, with those of other files.
    let ran = run(&["-f", "/none", "--ca", "/none.pem", "--tls-cert", "/none.crt"]);
    assert_eq!(ran.stderr.lines().count(), 3, "{}", ran.stderr);

    // One file with both, as HAProxy has them, and one of two kinds of key for a name.
    let both = authority.path("both.pem");
    let text = [one_cert, one_key].map(|file| std::fs::read(file).unwrap()).concat();
    std::fs::write(&both, text).unwrap();
    assert_eq!(run(&["-f", servers, "--check", "--tls-cert", both.to_str().unwrap()]).code, 0);
}
